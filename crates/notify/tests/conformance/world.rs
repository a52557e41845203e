//! A world of its own on loopback: every name leads here, to servers that answer what was recorded and keep what they were asked.
//!
//! One address of 127.0.0.0/8 for each process. A port speaks TLS or plain HTTP, whichever comes; its certificate is of a CA that
//! the client trusts, on 8443 of another one, and on 9443 a client has to show one as well. 3128 is a proxy, 4222 speaks NATS.

use base64::Engine;
use futures_util::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use triggerfish_notify::Network;

/// Where names without a port lead.
const ANY: u16 = 18_000;
const PORTS: [u16; 10] = [ANY, 9093, 4318, 8443, 9443, 8080, 2222, 7443, 3128, 4222];

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It came through the proxy.
    pub proxied: bool,
}

#[derive(Default)]
pub struct Script {
    pub answers: VecDeque<Value>,
    pub asked: Vec<Asked>,
    pub nats: Vec<Value>,
    pub nats_refuses: bool,
}

pub struct World {
    pub script: Arc<Mutex<Script>>,
    pub network: Network,
    pub secrets: HashMap<&'static str, String>,
}

fn address() -> IpAddr {
    let p = std::process::id();
    IpAddr::from([127, 100 + (p >> 16 & 0x3f) as u8, (p >> 8) as u8, (p | 1) as u8])
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut p = CertificateParams::default();
    p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    p.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(p, KeyPair::generate().unwrap()).unwrap()
}

fn issue(names: Vec<String>, client: bool, by: &Issuer) -> (String, String) {
    let mut p = CertificateParams::new(names).unwrap();
    if client {
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }
    let key = KeyPair::generate().unwrap();
    (p.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

/// Certificates for whatever name is asked for.
struct ForAnyName {
    by: Issuer,
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for ForAnyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ForAnyName")
    }
}

impl ResolvesServerCert for ForAnyName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        use rustls::pki_types::pem::PemObject;
        let name = hello.server_name()?.to_owned();
        let mut made = self.made.lock().unwrap();
        if let Some(k) = made.get(&name) {
            return Some(k.clone());
        }
        let (cert, key) = issue(vec![name.clone()], false, &self.by);
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let key = Arc::new(CertifiedKey::new(vec![cert], key));
        made.insert(name, key.clone());
        Some(key)
    }
}

struct Here;

impl reqwest::dns::Resolve for Here {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let unknown = name.as_str().ends_with(".invalid");
        Box::pin(async move {
            if unknown {
                return Err("no such host".into());
            }
            let all: reqwest::dns::Addrs = Box::new(std::iter::once(SocketAddr::new(address(), ANY)));
            Ok(all)
        })
    }
}

pub fn openssl(arguments: &[&str], input: &str) -> String {
    use std::io::Write;
    let mut c = std::process::Command::new("openssl");
    c.args(arguments).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut c = c.stderr(std::process::Stdio::null()).spawn().expect("openssl makes keys for the tests");
    c.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(c.wait_with_output().unwrap().stdout).unwrap()
}

/// The world: made once, and there until the process ends.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (system, own, other) = (authority("system"), authority("own"), authority("other"));
        let (client_cert, client_key) = issue(vec!["client".into()], true, &own);
        let rsa = openssl(&["genrsa", "-traditional", "2048"], "");
        let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], &rsa);
        let account = json!({"type": "service_account", "client_email": "flux@proj.iam.gserviceaccount.com", "private_key": pkcs8,
            "private_key_id": "k", "token_uri": "https://oauth2.googleapis.com/token", "project_id": "proj"});
        let secrets = HashMap::from([
            ("@tls:ca.crt", own.pem()),
            ("@tls:client.crt", client_cert),
            ("@tls:client.key", client_key),
            ("@tls:other-ca.crt", other.pem()),
            ("@key:rsa", rsa),
            ("@gcp:service-account", account.to_string()),
        ]);
        let roots = vec![CertificateDer::from(system.der().to_vec())];
        let network = Network::with(Arc::new(Here), |_, port| SocketAddr::new(address(), port), roots);
        let script: Arc<Mutex<Script>> = Arc::default();
        let mut trusted = RootCertStore::empty();
        trusted.add(own.der().clone()).unwrap();
        let of_system = Arc::new(ForAnyName { by: system, made: Mutex::default() });
        let of_own = Arc::new(ForAnyName { by: own, made: Mutex::default() });
        let plain = |r: Arc<ForAnyName>| Arc::new(ServerConfig::builder().with_no_client_auth().with_cert_resolver(r));
        let verifier = WebPkiClientVerifier::builder(Arc::new(trusted)).build().unwrap();
        let strict = ServerConfig::builder().with_client_cert_verifier(verifier).with_cert_resolver(of_own.clone());
        let configs = (plain(of_system), plain(of_own), Arc::new(strict));
        let kept = script.clone();
        let (ready, begun) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                for port in PORTS {
                    let listener = TcpListener::bind((address(), port)).await.unwrap();
                    let config = match port {
                        8443 => configs.1.clone(),
                        9443 => configs.2.clone(),
                        _ => configs.0.clone(),
                    };
                    let script = kept.clone();
                    tokio::spawn(async move {
                        while let Ok((stream, _)) = listener.accept().await {
                            let (config, script) = (config.clone(), script.clone());
                            tokio::spawn(async move {
                                if port == 4222 {
                                    nats(stream, &script).await;
                                } else {
                                    open(stream, config, &script, port == 3128).await;
                                }
                            });
                        }
                    });
                }
                ready.send(()).unwrap();
                std::future::pending::<()>().await;
            });
        });
        begun.recv().unwrap();
        World { script, network, secrets }
    })
}

async fn open(stream: TcpStream, config: Arc<ServerConfig>, script: &Arc<Mutex<Script>>, proxy: bool) {
    let mut first = [0];
    if stream.peek(&mut first).await.unwrap_or(0) == 0 {
        return;
    }
    if first[0] == 0x16 {
        if let Ok(tls) = TlsAcceptor::from(config).accept(stream).await {
            http(Box::new(tls), "https", script, None, proxy).await;
        }
        return;
    }
    http(Box::new(stream), "http", script, Some(config), proxy).await;
}

/// Any connection.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Answers requests until the connection ends.
fn http<'a>(
    stream: Box<dyn Io>,
    scheme: &'static str,
    script: &'a Arc<Mutex<Script>>,
    config: Option<Arc<ServerConfig>>,
    proxied: bool,
) -> BoxFuture<'a, ()> {
    Box::pin(answer(stream, scheme, script, config, proxied))
}

async fn answer(
    stream: Box<dyn Io>,
    scheme: &'static str,
    script: &Arc<Mutex<Script>>,
    config: Option<Arc<ServerConfig>>,
    proxied: bool,
) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut parts = lines[0].split(' ');
        let (method, target) = (parts.next().unwrap_or("").to_owned(), parts.next().unwrap_or("").to_owned());
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|l| l.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned())))
            .collect();
        let header = |name: &str| headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        if method == "CONNECT" {
            script.lock().unwrap().asked.push(Asked { method, url: target, headers, body: Vec::new(), proxied: true });
            if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_err() {
                return;
            }
            let Some(config) = config else { return };
            if let Ok(tls) = TlsAcceptor::from(config).accept(stream).await {
                http(Box::new(tls), "https", script, None, true).await;
            }
            return;
        }
        let mut body = Vec::new();
        if let Some(length) = header("content-length").and_then(|v| v.parse::<usize>().ok()) {
            body = vec![0; length];
            if stream.read_exact(&mut body).await.is_err() {
                return;
            }
        }
        let url = if target.starts_with('/') || target == "*" {
            format!("{scheme}://{}{target}", header("host").unwrap_or_default())
        } else {
            target
        };
        let answer = {
            let mut s = script.lock().unwrap();
            s.asked.push(Asked { method, url, headers, body, proxied });
            s.answers.pop_front().unwrap_or_else(|| json!({"status": 599, "body": "nothing more was recorded"}))
        };
        let body = answer["body"].as_str().unwrap_or("").as_bytes().to_vec();
        let mut head = format!("HTTP/1.1 {} Recorded\r\n", answer["status"]);
        for (k, v) in answer["headers"].as_object().into_iter().flatten() {
            head.push_str(&format!("{k}: {}\r\n", v.as_str().unwrap_or("")));
        }
        let bodiless = matches!(answer["status"].as_u64(), Some(204 | 304));
        if !bodiless {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let whole = [head.into_bytes(), if bodiless { Vec::new() } else { body }].concat();
        if stream.write_all(&whole).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// As much of a NATS server as a publisher meets.
async fn nats(stream: TcpStream, script: &Arc<Mutex<Script>>) {
    let mut stream = BufReader::new(stream);
    let info = json!({"server_id": "t", "version": "2.9.10", "proto": 1, "headers": true, "max_payload": 1_048_576,
        "nonce": "bm9uY2Vub25jZQ", "host": "127.0.0.1", "port": 4222, "go": "", "server_name": "t", "client_id": 1, "client_ip": ""});
    if stream.write_all(format!("INFO {info}\r\n").as_bytes()).await.is_err() {
        return;
    }
    let (mut line, mut sid) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let text = line.trim_end().to_owned();
        if let Some(options) = text.strip_prefix("CONNECT ") {
            let options: Value = serde_json::from_str(options).unwrap();
            let refuses = {
                let mut s = script.lock().unwrap();
                s.nats.push(json!({"nats": "CONNECT", "json": options}));
                s.nats_refuses
            };
            if refuses {
                let _ = stream.write_all(b"-ERR 'Authorization Violation'\r\n").await;
                return;
            }
        } else if text == "PING" {
            let _ = stream.write_all(b"PONG\r\n").await;
        } else if let Some(rest) = text.strip_prefix("SUB ") {
            sid = rest.rsplit(' ').next().unwrap_or("").to_owned();
        } else if let Some(rest) = text.strip_prefix("PUB ") {
            let parts: Vec<&str> = rest.split(' ').collect();
            let mut payload = vec![0; parts[parts.len() - 1].parse::<usize>().unwrap() + 2];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            if parts[0].starts_with("_INBOX.") {
                let _ = stream.write_all(format!("MSG {} {sid} 0\r\n\r\n", parts[0]).as_bytes()).await;
                continue;
            }
            let v: Value = serde_json::from_slice(&payload[..payload.len() - 2]).unwrap();
            script.lock().unwrap().nats.push(json!({"nats": "PUB", "subject": parts[0], "json": v}));
        }
    }
}

/// Base64 of a token's part as JSON.
pub fn token_part(part: &str) -> Option<Value> {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}
