//! Processors that are gRPC servers: `gateways.GatewayExecutor` of the first gateways, `gateways.Eventing` of the later ones. The
//! protocols are in docs/proto.

use crate::gateway::outlet::{Emission, Outlet, pump};
use crate::gateway::{Failure, Source};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use http::uri::PathAndQuery;
use std::time::Duration;
use tonic::client::Grpc as Client;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of one event.
const LARGEST: usize = 64 << 20;

#[derive(Clone, PartialEq, prost::Message)]
struct GatewayConfig {
    #[prost(string, tag = "1")]
    src: String,
    #[prost(string, tag = "2")]
    config: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ExecutorEvent {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EventSource {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    name: String,
    /// A string at first, bytes later: the same on the wire.
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
    #[prost(string, tag = "4")]
    r#type: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    payload: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ValidEventSource {
    #[prost(bool, tag = "1")]
    is_valid: bool,
    #[prost(string, tag = "2")]
    reason: String,
}

pub struct Grpc {
    port: u16,
    what: What,
}

enum What {
    Executor(GatewayConfig),
    Eventing(EventSource),
}

impl Grpc {
    pub fn executor(port: u16, name: &str, text: &str) -> Self {
        Grpc { port, what: What::Executor(GatewayConfig { src: name.into(), config: text.into() }) }
    }

    pub fn eventing(port: u16, id: &str, name: &str, text: &str, event_type: &str) -> Self {
        let value = text.as_bytes().to_vec();
        Grpc {
            port,
            what: What::Eventing(EventSource { id: id.into(), name: name.into(), value, r#type: event_type.into() }),
        }
    }
}

impl Source for Grpc {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let channel = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port))
                .map_err(|e| Failure::Wrong(e.to_string()))?
                .connect_timeout(CONNECT)
                .connect()
                .await
                .map_err(|e| Failure::Lost(format!("no gRPC server answers on port {}: {}", self.port, cause(&e))))?;
            let mut client = Client::new(channel).max_decoding_message_size(LARGEST);
            match &self.what {
                What::Executor(config) => {
                    stream(
                        &mut client,
                        "/gateways.GatewayExecutor/RunGateway",
                        config.clone(),
                        out,
                        |e: &ExecutorEvent| e.data.clone(),
                    )
                    .await
                }
                What::Eventing(source) => {
                    validate(&mut client, source).await?;
                    stream(&mut client, "/gateways.Eventing/StartEventSource", source.clone(), out, |e: &Event| {
                        e.payload.clone()
                    })
                    .await
                }
            }
        })
    }
}

fn cause(e: &dyn std::error::Error) -> String {
    let mut cause = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn lost(what: &str, s: &Status) -> Failure {
    Failure::Lost(format!("{what}: {:?}: {}", s.code(), s.message()))
}

async fn ready(client: &mut Client<Channel>) -> Result<(), Failure> {
    client.ready().await.map_err(|e| Failure::Lost(format!("the processor: {}", cause(&e))))
}

/// Asks the processor whether it can do anything with the configuration.
async fn validate(client: &mut Client<Channel>, source: &EventSource) -> Result<(), Failure> {
    ready(client).await?;
    let codec: ProstCodec<EventSource, ValidEventSource> = ProstCodec::default();
    let path = PathAndQuery::from_static("/gateways.Eventing/ValidateEventSource");
    match client.unary(Request::new(source.clone()), path, codec).await {
        Ok(answer) if answer.get_ref().is_valid => Ok(()),
        Ok(answer) => Err(Failure::Wrong(format!("the processor refuses it: {}", answer.get_ref().reason))),
        // One that does not look at configurations beforehand.
        Err(s) if s.code() == Code::Unimplemented => Ok(()),
        Err(s) => Err(lost("ValidateEventSource", &s)),
    }
}

/// Stores what the processor sends until it ends.
async fn stream<Q, E>(
    client: &mut Client<Channel>,
    path: &'static str,
    question: Q,
    out: &Outlet,
    data: fn(&E) -> Vec<u8>,
) -> Result<(), Failure>
where
    Q: prost::Message + Default + Send + Sync + 'static,
    E: prost::Message + Default + Send + Sync + 'static,
{
    ready(client).await?;
    let codec: ProstCodec<Q, E> = ProstCodec::default();
    let answer = client.server_streaming(Request::new(question), PathAndQuery::from_static(path), codec).await;
    let events = answer.map_err(|s| lost(path, &s))?.into_inner();
    out.running();
    let read = |e: &E| Emission { data: data(e), ..Emission::default() };
    pump(out, events.map_err(|s| lost(path, &s)).boxed(), read, |_| async { Ok(()) }).await
}
