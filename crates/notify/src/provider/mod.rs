//! What each provider sends: one file for each, one line in `KINDS`.
//!
//! A provider checks what it was set up with before anything is sent, and then sends a notice. When to try again, in which order
//! and how often is not its business.

mod address;
mod alertmanager;
mod azuredevops;
mod azureeventhub;
mod bitbucket;
mod bitbucketserver;
mod change_request;
pub mod commit_status;
mod datadog;
mod discord;
mod generic;
mod gitea;
mod giteapullrequestcomment;
mod github;
mod githubdispatch;
mod githubpullrequestcomment;
mod gitlab;
mod gitlabmergerequestcomment;
mod googlechat;
mod googlepubsub;
mod grafana;
mod incident;
mod lark;
mod matrix;
mod msteams;
mod nats;
mod opsgenie;
mod otel;
mod pagerduty;
mod rocket;
mod sentry;
mod slack;
mod telegram;
mod text;
mod webex;
mod zoom;
mod zulip;

pub use address::{Repository, repository};
pub use bitbucketserver::commits as bitbucketserver_commits;
pub use otel::traces as otel_traces;

use crate::http::{Answer, Failure, Http, Network, Request};
use crate::notice::Notice;
use crate::setup::Setup;
use futures_util::future::BoxFuture;

pub const KINDS: &[Kind] = &[
    alertmanager::KIND,
    azuredevops::KIND,
    azureeventhub::KIND,
    bitbucket::KIND,
    bitbucketserver::KIND,
    datadog::KIND,
    discord::KIND,
    generic::KIND,
    generic::SIGNED,
    gitea::KIND,
    giteapullrequestcomment::KIND,
    github::KIND,
    githubdispatch::KIND,
    githubpullrequestcomment::KIND,
    gitlab::KIND,
    gitlabmergerequestcomment::KIND,
    googlechat::KIND,
    googlepubsub::KIND,
    grafana::KIND,
    incident::KIND,
    lark::KIND,
    matrix::KIND,
    msteams::KIND,
    nats::KIND,
    opsgenie::KIND,
    otel::KIND,
    pagerduty::KIND,
    rocket::KIND,
    sentry::KIND,
    slack::KIND,
    telegram::KIND,
    webex::KIND,
    zoom::KIND,
    zulip::KIND,
];

/// One kind of provider.
pub struct Kind {
    /// The `type` of a Provider.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    pub group: Group,
    /// What is wrong with what it was set up with, in the words of the original.
    pub check: fn(&Setup) -> Result<(), String>,
    pub post: for<'a> fn(&'a Call<'a>) -> BoxFuture<'a, Result<(), Failure>>,
    /// A Provider's `spec`, and the Secret that it names, as people write them.
    pub example: &'static str,
    /// Which keys of the Secret and which fields it reads, and what the service bounds; for the reference.
    pub notes: &'static str,
}

/// Which notices a kind gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// All but those that only update a commit's status.
    Message,
    /// All.
    Whole,
    /// Those that name a commit, those that update its status, and errors.
    CommitStatus,
    /// Those that name a change request.
    ChangeRequest,
}

impl Group {
    /// Whether a notice goes to such a provider; the reason why not.
    pub fn takes(self, n: &Notice, metadata_key: impl Fn(&str) -> bool) -> Result<(), &'static str> {
        let updates = metadata_key("commit_status");
        match self {
            Group::Whole => Ok(()),
            Group::Message if updates => Err("it only updates a commit's status"),
            Group::Message => Ok(()),
            Group::CommitStatus if metadata_key("commit") || updates || n.is_error() => Ok(()),
            Group::CommitStatus => Err("it names no commit, and is no error"),
            Group::ChangeRequest if updates => Err("it only updates a commit's status"),
            Group::ChangeRequest if metadata_key("change_request") => Ok(()),
            Group::ChangeRequest => Err("it names no change request"),
        }
    }
}

/// One delivery.
pub struct Call<'a> {
    pub setup: &'a Setup,
    pub notice: &'a Notice,
    pub http: &'a Http,
    pub network: &'a Network,
    /// What stands in place of the provider's own title, where the alert says so.
    pub title: Option<&'a str>,
    /// The whole body of a request, where the alert says so; only generic providers heed it.
    pub body: Option<&'a str>,
}

impl Call<'_> {
    pub async fn post(&self, r: Request) -> Result<Answer, Failure> {
        self.http.deliver(r).await
    }

    /// `kustomization/webapp.apps`, unless the alert gives another title.
    pub fn title(&self) -> String {
        self.title.map_or_else(|| self.notice.title(), str::to_owned)
    }

    pub fn token(&self) -> &str {
        self.setup.token()
    }

    /// The user name that messages appear under: the reporting controller's if none is given.
    pub fn sender(&self) -> &str {
        let u = self.setup.username.as_str();
        if u.is_empty() { &self.notice.controller } else { u }
    }
}

pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.name == name)
}

/// What is wrong with a provider before anything is sent.
pub fn check(s: &Setup) -> Result<&'static Kind, String> {
    let fail = |why: String| format!("failed to initialize notifier: {why}");
    let kind = named(&s.provider.kind).ok_or_else(|| fail(format!("provider {} not supported", s.provider.kind)))?;
    (kind.check)(s).map_err(fail)?;
    Ok(kind)
}

/// An address that a request can be sent to.
fn address(s: &Setup, what: &str) -> Result<crate::go_url::GoUrl, String> {
    crate::go_url::GoUrl::for_request(&s.address).map_err(|why| format!("invalid {what} {}: '{why}'", s.address))
}
