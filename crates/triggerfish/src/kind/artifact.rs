//! Files that steps hand to each other, and where they are kept.

use super::object;
use k8s_openapi::api::core::v1::{ConfigMapKeySelector, SecretKeySelector};
use std::collections::BTreeMap;

object! {
    /// A file or directory that a step reads or writes.
    #[schemars(extend("required" = ["name"]))]
    Artifact {
        /// Its name within inputs or outputs.
        name: String,
        /// Where it is in the container's file system.
        path: String,
        /// Another step's output, as a tag.
        from: String,
        /// Another step's output, as an expression.
        from_expression: String,
        /// A member of the artifact when it is a directory.
        sub_path: String,
        /// No failure when it does not exist.
        optional: bool,
        /// File mode bits, octal.
        mode: i32,
        /// Applies the mode to everything below.
        recurse_mode: bool,
        /// How it is packed; tar and gzip unless told.
        archive: ArchiveStrategy,
        archive_logs: bool,
        /// Makes an output known to the whole workflow under this name.
        global_name: String,
        deleted: bool,
        #[serde(rename = "artifactGC")]
        artifact_gc: ArtifactGc,
        artifactory: ArtifactoryArtifact,
        azure: AzureArtifact,
        gcs: GcsArtifact,
        git: GitArtifact,
        hdfs: HdfsArtifact,
        http: HttpArtifact,
        oss: OssArtifact,
        plugin: PluginArtifact,
        raw: RawArtifact,
        s3: S3Artifact,
    }
}
object! {
    /// Where all artifacts of a template go.
    ArtifactLocation {
        archive_logs: bool,
        artifactory: ArtifactoryArtifact,
        azure: AzureArtifact,
        gcs: GcsArtifact,
        git: GitArtifact,
        hdfs: HdfsArtifact,
        http: HttpArtifact,
        oss: OssArtifact,
        plugin: PluginArtifact,
        raw: RawArtifact,
        s3: S3Artifact,
    }
}
object! {
    /// How an artifact is packed.
    ArchiveStrategy { none: NoOptions, tar: TarStrategy, zip: NoOptions }
}
object! {
    /// Nothing to choose.
    #[schemars(extend("x-closed" = true))]
    NoOptions {}
}
object! {
    /// A tar archive.
    TarStrategy {
        /// 0 (none) to 9 (smallest) for gzip.
        compression_level: i32,
    }
}
object! {
    /// When an artifact is deleted again.
    ArtifactGc {
        pod_metadata: Metadata,
        service_account_name: String,
        #[schemars(extend("enum" = ["", "OnWorkflowCompletion", "OnWorkflowDeletion", "Never"]))]
        strategy: String,
    }
}
object! {
    /// When the artifacts of a workflow are deleted again.
    WorkflowArtifactGc {
        force_finalizer_removal: bool,
        pod_metadata: Metadata,
        pod_spec_patch: String,
        service_account_name: String,
        #[schemars(extend("enum" = ["", "OnWorkflowCompletion", "OnWorkflowDeletion", "Never"]))]
        strategy: String,
    }
}
object! {
    /// Labels and annotations.
    Metadata { annotations: BTreeMap<String, String>, labels: BTreeMap<String, String> }
}
object! {
    /// Content written in the manifest itself.
    #[schemars(extend("required" = ["data"]))]
    RawArtifact { data: String }
}
object! {
    #[schemars(extend("required" = ["url"]))]
    ArtifactoryArtifact { url: String, username_secret: SecretKeySelector, password_secret: SecretKeySelector }
}
object! {
    #[schemars(extend("required" = ["blob", "container", "endpoint"]))]
    AzureArtifact {
        account_key_secret: SecretKeySelector,
        blob: String,
        container: String,
        endpoint: String,
        #[serde(rename = "useSDKCreds")]
        use_sdk_creds: bool,
    }
}
object! {
    #[schemars(extend("required" = ["key"]))]
    GcsArtifact { bucket: String, key: String, service_account_key_secret: SecretKeySelector }
}
object! {
    #[schemars(extend("required" = ["repo"]))]
    GitArtifact {
        branch: String,
        depth: i64,
        disable_submodules: bool,
        fetch: Vec<String>,
        insecure_ignore_host_key: bool,
        #[serde(rename = "insecureSkipTLS")]
        insecure_skip_tls: bool,
        password_secret: SecretKeySelector,
        repo: String,
        revision: String,
        single_branch: bool,
        ssh_private_key_secret: SecretKeySelector,
        username_secret: SecretKeySelector,
    }
}
object! {
    #[schemars(extend("required" = ["path"]))]
    HdfsArtifact {
        addresses: Vec<String>,
        data_transfer_protection: String,
        force: bool,
        hdfs_user: String,
        #[serde(rename = "krbCCacheSecret")]
        krb_c_cache_secret: SecretKeySelector,
        krb_config_config_map: ConfigMapKeySelector,
        krb_keytab_secret: SecretKeySelector,
        krb_realm: String,
        krb_service_principal_name: String,
        krb_username: String,
        path: String,
    }
}
object! {
    #[schemars(extend("required" = ["url"]))]
    HttpArtifact { auth: HttpAuth, headers: Vec<Header>, save_stream_via_file: bool, url: String }
}
object! {
    HttpAuth { basic_auth: BasicAuth, client_cert: ClientCertAuth, oauth2: OAuth2Auth }
}
object! {
    BasicAuth { password_secret: SecretKeySelector, username_secret: SecretKeySelector }
}
object! {
    ClientCertAuth { client_cert_secret: SecretKeySelector, client_key_secret: SecretKeySelector }
}
object! {
    OAuth2Auth {
        #[serde(rename = "clientIDSecret")]
        client_id_secret: SecretKeySelector,
        client_secret_secret: SecretKeySelector,
        endpoint_params: Vec<EndpointParam>,
        scopes: Vec<String>,
        #[serde(rename = "tokenURLSecret")]
        token_url_secret: SecretKeySelector,
    }
}
object! {
    #[schemars(extend("required" = ["key"]))]
    EndpointParam { key: String, value: String }
}
object! {
    #[schemars(extend("required" = ["name", "value"]))]
    Header { name: String, value: String }
}
object! {
    #[schemars(extend("required" = ["key"]))]
    OssArtifact {
        access_key_secret: SecretKeySelector,
        bucket: String,
        create_bucket_if_not_present: bool,
        endpoint: String,
        key: String,
        lifecycle_rule: OssLifecycleRule,
        secret_key_secret: SecretKeySelector,
        security_token: String,
        #[serde(rename = "useSDKCreds")]
        use_sdk_creds: bool,
    }
}
object! {
    OssLifecycleRule { mark_deletion_after_days: i32, mark_infrequent_access_after_days: i32 }
}
object! {
    #[schemars(extend("required" = ["key", "name"]))]
    PluginArtifact { configuration: String, connection_timeout_seconds: i32, key: String, name: String }
}
object! {
    S3Artifact {
        access_key_secret: SecretKeySelector,
        #[schemars(extend("enum" = ["", "path", "virtual-hosted"]))]
        addressing_style: String,
        bucket: String,
        ca_secret: SecretKeySelector,
        create_bucket_if_not_present: CreateS3Bucket,
        encryption_options: S3Encryption,
        endpoint: String,
        insecure: bool,
        key: String,
        region: String,
        #[serde(rename = "roleARN")]
        role_arn: String,
        secret_key_secret: SecretKeySelector,
        session_token_secret: SecretKeySelector,
        #[serde(rename = "useSDKCreds")]
        use_sdk_creds: bool,
    }
}
object! {
    CreateS3Bucket { object_locking: bool }
}
object! {
    S3Encryption {
        enable_encryption: bool,
        kms_encryption_context: String,
        kms_key_id: String,
        server_side_customer_key_secret: SecretKeySelector,
    }
}
