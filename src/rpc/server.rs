//! Mounts the methods at `/rpc` of the node's HTTP server.
//!
//! jsonrpsee's own tower service answers both POSTs and WebSockets; a fresh one is built per
//! request (they are a few references each), because a connection's subscriptions are told apart by
//! the id it gets then. POSTs and WebSockets are two services, since they differ in what they may
//! cost and in what they can do.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use jsonrpsee::Methods;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, Server, ServerConfig, ServerConfigBuilder, StopHandle, TowerServiceBuilder,
    stop_channel, ws,
};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower::layer::util::Identity;

use super::methods::{Context, calls, no_subscriptions, subscriptions};
use super::subscription::Registry;
use super::{MAX_DOCUMENT_REQUEST, MAX_REQUEST, MAX_RESPONSE, PATH};
use crate::control::link::LinkSettings;
use crate::control::{Control, NodeInfo};

/// WebSockets, and POSTs under way.
const MAX_CONNECTIONS: u32 = 32;

/// Subscriptions of one WebSocket.
const MAX_SUBSCRIPTIONS: u32 = 8;

/// Calls in one batch.
const MAX_BATCH: u32 = 32;

/// Messages that wait for one WebSocket before its calls wait.
const MAX_QUEUED: u32 = 8;

/// Who answers `node.info`.
pub trait NodeInfoSource: Send + Sync + 'static {
    /// What the node is and can do, now.
    fn info(&self) -> NodeInfo;

    /// How links are measured and judged.
    fn links(&self) -> Arc<LinkSettings>;
}

type Service = TowerServiceBuilder<Identity, Identity>;

/// What a request needs to be answered.
struct Mount {
    posts: Service,
    documents: Service,
    websockets: Service,
    call_methods: Methods,
    websocket_methods: Methods,
    /// One large request at a time: it is in memory as a whole, more than once.
    large: Semaphore,
    stop: StopHandle,
}

/// The route `/rpc`. Who may use it is checked by a layer around it.
///
/// Subscriptions and WebSockets end when `shutdown` is cancelled. Must be called inside a tokio
/// runtime.
pub fn router(control: Arc<dyn Control>, info: Arc<dyn NodeInfoSource>, shutdown: CancellationToken) -> Router {
    match mount(control, info, shutdown) {
        Ok(mount) => {
            let mount = Arc::new(mount);
            let answer = move |request: Request| {
                let mount = Arc::clone(&mount);
                async move { mount.answer(request).await }
            };
            Router::new().route(PATH, any(answer))
        }
        Err(error) => {
            // Two methods of one name: no test of this crate would have passed.
            tracing::error!(%error, "no control over the network");
            Router::new()
        }
    }
}

fn mount(
    control: Arc<dyn Control>,
    info: Arc<dyn NodeInfoSource>,
    shutdown: CancellationToken,
) -> Result<Mount, RegisterMethodError> {
    let (stop, handle) = stop_channel();
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            shutdown.cancelled().await;
            // Fails if nobody is left to stop.
            let _ = handle.stop();
        }
    });
    let context = Arc::new(Context { control, info, registry: Arc::new(Registry::default()), shutdown });
    let mut call_module = calls(&context)?;
    no_subscriptions(&mut call_module)?;
    Ok(Mount {
        posts: service(config(MAX_REQUEST).http_only()),
        documents: service(config(MAX_DOCUMENT_REQUEST).http_only()),
        websockets: service(config(MAX_REQUEST).ws_only()),
        call_methods: call_module.into(),
        websocket_methods: subscriptions(&context)?.into(),
        large: Semaphore::new(1),
        stop,
    })
}

fn config(max_request: u32) -> ServerConfigBuilder {
    let ping = PingConfig::new()
        .ping_interval(Duration::from_secs(15))
        .inactive_limit(Duration::from_secs(40))
        .max_failures(1);
    ServerConfig::builder()
        .max_request_body_size(max_request)
        .max_response_body_size(MAX_RESPONSE)
        .max_connections(MAX_CONNECTIONS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_message_buffer_capacity(MAX_QUEUED)
        .enable_ws_ping(ping)
}

fn service(config: ServerConfigBuilder) -> Service {
    Server::builder().set_config(config.build()).to_service_builder()
}

impl Mount {
    async fn answer(&self, request: Request) -> Response {
        if ws::is_upgrade_request(&request) {
            return self.run(&self.websockets, &self.websocket_methods, request).await;
        }
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_none_or(|length| length <= u64::from(MAX_REQUEST)) {
            return self.run(&self.posts, &self.call_methods, request).await;
        }
        match self.large.try_acquire() {
            Ok(_permit) => self.run(&self.documents, &self.call_methods, request).await,
            Err(_) => problem(StatusCode::TOO_MANY_REQUESTS, "another large request is being read; try again"),
        }
    }

    async fn run(&self, service: &Service, methods: &Methods, request: Request) -> Response {
        let service = service.clone().build(methods.clone(), self.stop.clone());
        match service.oneshot(request).await {
            Ok(response) => explained(response.map(Body::new)),
            Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

/// Refusals that are not JSON-RPC already as RFC 9457 problems, like those of every other route.
fn explained(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return response;
    }
    let detail = match response.status() {
        StatusCode::TOO_MANY_REQUESTS => "too many control connections; close one or try again",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body must be application/json",
        StatusCode::METHOD_NOT_ALLOWED => "POST a JSON-RPC request, or open a WebSocket",
        _ => return response,
    };
    problem(response.status(), detail)
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("error");
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    let json = HeaderValue::from_static("application/problem+json");
    let mut response = (status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
