//! Ports that gateways open: one server for each, shared by all endpoints that name it, closed with the last of them.

use super::listen::{self, Speaks};
use crate::gateway::door::{Endpoint, Held, Open, Received};
use axum::response::{IntoResponse, Response};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rustls::ServerConfig;
use serde_json::Value;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a port that was just given up may take to be free.
const FREE: Duration = Duration::from_secs(2);

pub struct Doors {
    address: IpAddr,
    /// For ports whose endpoints bring no certificate of their own.
    tls: Arc<ServerConfig>,
    grace: Duration,
    ports: Mutex<HashMap<u16, Arc<Port>>>,
    /// One port is opened at a time.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Port {
    routes: RwLock<HashMap<(String, Method), Vec<Endpoint>>>,
    tls: Option<(String, String)>,
    close: watch::Sender<bool>,
}

impl Doors {
    pub fn new(address: IpAddr, tls: Arc<ServerConfig>, grace: Duration) -> Arc<Self> {
        Arc::new(Self { address, tls, grace, ports: Mutex::default(), opening: tokio::sync::Mutex::default() })
    }

    /// What sources are handed to open endpoints.
    pub fn opener(self: &Arc<Self>) -> Open {
        let doors = self.clone();
        Arc::new(move |endpoint| {
            let doors = doors.clone();
            Box::pin(async move { doors.open(endpoint).await })
        })
    }

    fn port(&self, number: u16) -> Option<Arc<Port>> {
        self.ports.lock().unwrap_or_else(|e| e.into_inner()).get(&number).cloned()
    }

    /// Hands a request to an endpoint without a connection; the error says that nothing answers there.
    pub async fn deliver(&self, number: u16, path: &str, request: Received) -> Result<(StatusCode, String), String> {
        let answer = self.port(number).and_then(|port| {
            let routes = port.routes.read().unwrap_or_else(|e| e.into_inner());
            routes.get(&(path.to_owned(), request.method.clone())).and_then(|all| all.first()).map(|e| e.answer.clone())
        });
        match answer {
            Some(answer) => Ok(answer(request).await),
            None => Err(format!("no gateway answers {} {path} on port {number}", request.method)),
        }
    }

    async fn open(self: &Arc<Self>, endpoint: Endpoint) -> Result<Held, String> {
        let _one = self.opening.lock().await;
        let (number, key) = (endpoint.port, (endpoint.path.clone(), endpoint.method.clone()));
        let part = endpoint.part.clone();
        let port = match self.port(number) {
            Some(p) => p,
            None => self.listen(&endpoint).await?,
        };
        if port.tls != endpoint.tls {
            return Err(format!("port {number} is open with another certificate; give all its endpoints the same"));
        }
        {
            let mut routes = port.routes.write().unwrap_or_else(|e| e.into_inner());
            let there = routes.entry(key.clone()).or_default();
            if there.iter().any(|e| e.part == part || e.part.is_empty() || part.is_empty()) {
                return Err(format!("{} {} on port {number} is taken by another configuration", key.1, key.0));
            }
            there.push(endpoint);
        }
        let doors = self.clone();
        let close = move || {
            let mut ports = doors.ports.lock().unwrap_or_else(|e| e.into_inner());
            let mut routes = port.routes.write().unwrap_or_else(|e| e.into_inner());
            if let Some(there) = routes.get_mut(&key) {
                there.retain(|e| e.part != part);
            }
            routes.retain(|_, there| !there.is_empty());
            if routes.is_empty() {
                ports.remove(&number);
                port.close.send_replace(true);
            }
        };
        Ok(Held { close: Some(Box::new(close)) })
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Arc<Port>, String> {
        let tls = match &endpoint.tls {
            None => self.tls.clone(),
            Some((certificate, key)) => listen::own_tls(certificate, key)?,
        };
        let address = std::net::SocketAddr::new(self.address, endpoint.port).to_string();
        let deadline = tokio::time::Instant::now() + FREE;
        let listener = loop {
            match listen::bind(&address).await {
                Err(_) if tokio::time::Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
                other => break other?,
            }
        };
        let port = Arc::new(Port { tls: endpoint.tls.clone(), ..Port::default() });
        let router = axum::Router::new().fallback({
            let port = port.clone();
            move |request: Request<axum::body::Body>| handle(port.clone(), request)
        });
        let speaks = if endpoint.tls.is_some() { Speaks::TlsOnly } else { Speaks::PlainAndTls };
        tokio::spawn(listen::serve(listener, speaks, tls, router, port.close.subscribe(), self.grace));
        self.ports.lock().unwrap_or_else(|e| e.into_inner()).insert(endpoint.port, port.clone());
        Ok(port)
    }
}

async fn handle(port: Arc<Port>, request: Request<axum::body::Body>) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let found = {
        let routes = port.routes.read().unwrap_or_else(|e| e.into_inner());
        match routes.get(&(path.to_owned(), head.method.clone())) {
            Some(all) => {
                let limit = all.iter().map(|e| e.limit).max().unwrap_or(0);
                Ok((all.iter().map(|e| (e.part.clone(), e.answer.clone())).collect::<Vec<_>>(), limit))
            }
            None => Err(routes.keys().any(|(p, _)| p == path)),
        }
    };
    let (answers, limit) = match found {
        Ok(x) => x,
        // As the original: another method of a known path is no good request.
        Err(true) => return (StatusCode::BAD_REQUEST, "Error").into_response(),
        Err(false) => return (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    };
    let body = match tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await {
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "Error: the body did not arrive in time").into_response(),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            let text = format!("Error: the body is larger than {limit} bytes");
            return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
        }
        Ok(Err(_)) => return (StatusCode::BAD_REQUEST, "Error").into_response(),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    let part = match &answers[..] {
        [(part, _)] if part.is_empty() => String::new(),
        _ => serde_json::from_slice::<Value>(&body).unwrap_or_default()["src"].as_str().unwrap_or("").to_owned(),
    };
    let Some((_, answer)) = answers.into_iter().find(|(p, _)| *p == part) else {
        let text = format!("Error: src: no configuration {part:?} runs here");
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let target = head.uri.path_and_query().map_or_else(|| path.to_owned(), ToString::to_string);
    answer(Received { method: head.method, target, headers: head.headers, body }).await.into_response()
}
