//! Ports: accepts connections, tells TLS from plain HTTP by the first byte, and serves a router until told to stop.

use crate::api::Peer;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// Connections open at once on one port; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8192;
/// A client that does not say anything for this long after connecting is let go.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    TlsOnly,
    PlainAndTls,
}

pub async fn bind(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => format!("{address} is in use: another program (perhaps another triggerfish) listens there; choose another address or stop it"),
        _ => format!("cannot listen on {address}: {e}"),
    })
}

/// TLS with the server's certificate; client certificates are welcome but not required.
pub fn tls(pki: &apiserver::Pki) -> Result<Arc<ServerConfig>, String> {
    let fail = |e: &dyn std::fmt::Display| format!("cannot set up TLS: {e}");
    let certificates =
        |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(|e| fail(&e));
    let mut roots = rustls::RootCertStore::empty();
    for ca in certificates(&pki.ca)? {
        roots.add(ca).map_err(|e| fail(&e))?;
    }
    let verifier =
        WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build().map_err(|e| fail(&e))?;
    let key = PrivateKeyDer::from_pem_slice(pki.server_key.as_bytes()).map_err(|e| fail(&e))?;
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&pki.server_cert)?, key)
        .map_err(|e| fail(&e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// TLS with a certificate and key that somebody brings, both PEM.
pub fn own_tls(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, String> {
    let fail = |e: &dyn std::fmt::Display| format!("the certificate or its key cannot be used: {e}");
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| fail(&e))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| fail(&e))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(|e| fail(&e))?;
    Ok(Arc::new(config))
}

/// Serves until `stop` changes, then lets open requests finish within `grace`.
pub async fn serve<S, B>(
    listener: TcpListener,
    speaks: Speaks,
    tls: Arc<ServerConfig>,
    service: S,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let acceptor = TlsAcceptor::from(tls);
    let graceful = Arc::new(GracefulShutdown::new());
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            a = listener.accept() => a,
            _ = stop.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(x) => x,
            Err(e) => {
                // Out of file descriptors, most likely: waiting is all that helps.
                tracing::warn!(error = %e, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().acquire_owned().await else { break };
        let (acceptor, service, graceful) = (acceptor.clone(), service.clone(), graceful.clone());
        tokio::spawn(async move {
            let _slot = slot;
            let _ = stream.set_nodelay(true);
            if let Err(e) = connection(stream, peer, speaks, acceptor, service, &graceful).await {
                tracing::debug!(%peer, error = %e, "connection ended");
            }
        });
    }
    drop(listener);
    if let Ok(graceful) = Arc::try_unwrap(graceful) {
        let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
    } else {
        tokio::time::sleep(grace.min(Duration::from_millis(500))).await;
    }
}

async fn connection<S, B>(
    stream: TcpStream,
    peer: SocketAddr,
    speaks: Speaks,
    acceptor: TlsAcceptor,
    service: S,
    graceful: &GracefulShutdown,
) -> Result<(), String>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    /// The first byte of every TLS connection: a handshake record.
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    let read = tokio::time::timeout(PATIENCE, stream.peek(&mut first))
        .await
        .map_err(|_| "said nothing")?
        .map_err(|e| e.to_string())?;
    if read == 0 {
        return Ok(());
    }
    if speaks == Speaks::PlainAndTls && first[0] != HANDSHAKE {
        return http(stream, peer, None, service, graceful).await;
    }
    let stream = tokio::time::timeout(PATIENCE, acceptor.accept(stream))
        .await
        .map_err(|_| "TLS handshake took too long")?
        .map_err(|e| e.to_string())?;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|c| c.first())
        .map(|c| apiserver::ClientCertificate(c.to_vec()));
    http(stream, peer, certificate, service, graceful).await
}

async fn http<I, S, B>(
    stream: I,
    peer: SocketAddr,
    certificate: Option<apiserver::ClientCertificate>,
    service: S,
    graceful: &GracefulShutdown,
) -> Result<(), String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let handler = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        if let Some(c) = &certificate {
            request.extensions_mut().insert(c.clone());
        }
        service.clone().call(request)
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), handler).into_owned();
    graceful.watch(connection).await.map_err(|e| e.to_string())
}
