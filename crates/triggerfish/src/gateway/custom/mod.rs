//! Gateways whose events come from somebody's own program, the processor: a gRPC server, an HTTP server, or anything that can
//! post to the transformer's port.

mod grpc;
mod http;
mod transformer;

use super::{Kind, Source};
use serde_json::Value;
use std::sync::Arc;

/// Where processors post events to if nothing else is said: of the original.
pub const TRANSFORMER_PORT: u16 = 9300;
pub const CLIENT_PORT: u16 = 9393;

/// How a processor is spoken to.
#[derive(Debug, Clone, PartialEq)]
pub enum Custom {
    /// gRPC, service `GatewayExecutor` (`rpcPort`).
    Executor { port: u16 },
    /// gRPC, service `Eventing` (`processorPort`).
    Eventing { port: u16 },
    /// HTTP: it is told to start and stop, and posts events back.
    Http { server: u16, client: u16 },
    /// It is told nothing, and posts events.
    Transformer { port: u16 },
}

const KINDS: [Kind; 4] = [
    Kind { name: "rpc", read: none, example: "" },
    Kind { name: "eventing", read: none, example: "" },
    Kind { name: "http", read: none, example: "" },
    Kind { name: "transformer", read: none, example: "" },
];

fn none(_: &Value) -> Result<Arc<dyn Source>, String> {
    Err("the processor decides what its configurations mean".into())
}

impl Custom {
    /// What a Gateway says of its processor; the error names the field.
    pub fn read(o: &Value) -> Result<Option<Self>, (String, String)> {
        let port = |name: &str| match &o["spec"][name] {
            Value::Null => Ok(None),
            Value::String(s) if s.is_empty() => Ok(None),
            v => {
                let text = v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                text.parse()
                    .ok()
                    .filter(|p: &u16| *p > 0)
                    .map(Some)
                    .ok_or_else(|| (format!("spec.{name}"), format!("{text:?} is no port (1 to 65535)")))
            }
        };
        let (rpc, eventing, server) = (port("rpcPort")?, port("processorPort")?, port("httpServerPort")?);
        let (client, transformer) = (port("httpClientPort")?, port("transformerPort")?);
        if [rpc, eventing, server, transformer].iter().flatten().count() > 1 {
            let why = "rpcPort, processorPort, httpServerPort and transformerPort are four ways to speak to a processor: give one";
            return Err(("spec".into(), why.into()));
        }
        Ok(match (rpc, eventing, server, transformer) {
            (Some(port), ..) => Some(Custom::Executor { port }),
            (_, Some(port), ..) => Some(Custom::Eventing { port }),
            (_, _, Some(server), _) => Some(Custom::Http { server, client: client.unwrap_or(CLIENT_PORT) }),
            (.., Some(port)) => Some(Custom::Transformer { port }),
            _ => None,
        })
    }

    pub fn kind(&self) -> &'static Kind {
        match self {
            Custom::Executor { .. } => &KINDS[0],
            Custom::Eventing { .. } => &KINDS[1],
            Custom::Http { .. } => &KINDS[2],
            Custom::Transformer { .. } => &KINDS[3],
        }
    }

    /// One configuration, handed to the processor as it is written.
    pub fn source(&self, name: &str, id: &str, text: &str, event_type: &str) -> Arc<dyn Source> {
        match *self {
            Custom::Executor { port } => Arc::new(grpc::Grpc::executor(port, name, text)),
            Custom::Eventing { port } => Arc::new(grpc::Grpc::eventing(port, id, name, text, event_type)),
            Custom::Http { server, client } => Arc::new(http::Http::new(server, client, id, name, text)),
            Custom::Transformer { port } => Arc::new(transformer::Transformer { port }),
        }
    }

    /// What its processor finds in its environment, as the original told it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Custom::Executor { port } => vec![("GATEWAY_PROCESSOR_GRPC_SERVER_PORT", port.to_string())],
            Custom::Eventing { port } => vec![("GATEWAY_SERVER_PORT", port.to_string())],
            Custom::Http { server, client } => vec![
                ("GATEWAY_PROCESSOR_SERVER_HTTP_PORT", server.to_string()),
                ("GATEWAY_PROCESSOR_CLIENT_HTTP_PORT", client.to_string()),
                ("GATEWAY_HTTP_CONFIG_START", http::START.to_owned()),
                ("GATEWAY_HTTP_CONFIG_STOP", http::STOP.to_owned()),
                ("GATEWAY_HTTP_CONFIG_EVENT", http::EVENT.to_owned()),
                ("GATEWAY_HTTP_CONFIG_RUNNING", http::ACTIVATED.to_owned()),
                ("GATEWAY_HTTP_CONFIG_ERROR", http::ERROR.to_owned()),
            ],
            Custom::Transformer { port } => vec![("TRANSFORMER_PORT", port.to_string())],
        }
    }
}
