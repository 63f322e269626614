//! The routes, one file per family, and the layer around all of them.

mod announce;
mod assemble;
mod bitmap;
mod delta;
mod file;
mod info;
mod manifest;
mod piece;
mod probe;
mod replica;
mod sync;
mod tus;
mod upload;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, head, post, put};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::catch_panic::CatchPanicLayer;

use super::body::Means;
use super::outlet::Outlet;
use super::problem::Problem;
use super::server::Shared;
use crate::content::ContentId;
use crate::swarm::Held;

/// Digest of the whole representation (RFC 9530).
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// When a client that met a full node may come back.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// All routes of a node.
pub fn router(shared: Arc<Shared>, rpc: Option<Router>) -> Router {
    let small = Router::new()
        .route("/health", get(info::health))
        .route("/metrics", get(info::metrics))
        .route("/swarm/announce", post(announce::announce))
        .route("/swarm/manifest/{id}", get(manifest::manifest))
        .layer(middleware::from_fn_with_state(shared.clone(), in_time));
    let routes = Router::new()
        .route("/swarm/piece/{id}/{index}", get(piece::piece))
        .route("/swarm/bitmap/{id}", get(bitmap::bitmap))
        .route("/swarm/file/{id}/{*path}", get(file::get).head(file::head))
        .route("/probe", head(probe::head).get(probe::source).post(probe::sink))
        .route("/upload", post(upload::check))
        .route("/upload/{transfer}", get(upload::status).post(upload::open).delete(upload::remove))
        .route("/upload/{transfer}/{segment}", put(upload::segment))
        .route("/assemble/{transfer}", post(assemble::assemble))
        .route("/replica/{content}", get(replica::status).post(replica::begin).delete(replica::remove))
        .route("/replica/{content}/{piece}", put(replica::piece))
        .route("/sync/compare", post(sync::compare))
        .route("/sync/list", post(sync::list))
        .route("/sync/digests", post(sync::digests))
        .route("/sync/apply", post(sync::apply))
        .route("/sync/behind", post(sync::behind))
        .route("/delta/signatures/{*path}", get(delta::signature).post(delta::signatures))
        .route("/delta/apply/{*path}", get(delta::applying).post(delta::apply))
        .route("/tus", any(tus::creation))
        .route("/tus/", any(tus::creation))
        .route("/tus/{id}", any(tus::upload))
        .merge(small)
        .with_state(shared.clone());
    let routes = match rpc {
        Some(rpc) => routes.merge(rpc),
        None => routes,
    };
    routes
        .fallback(async |request: Request| Problem::not_found(format!("there is no route {}", request.uri().path())))
        .method_not_allowed_fallback(async |request: Request| {
            let detail = format!("{} cannot be used on {}", request.method(), request.uri().path());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed", detail)
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(shared, watched))
}

/// Around every request: the gate, the clock, the counters.
async fn watched(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    // How long a watcher of a bitmap waits, how much there is to assemble or compare, or how fast somebody sends, says
    // nothing about how fast we are.
    let takes_time = |route: &str| {
        matches!(
            route,
            "/swarm/bitmap/{id}" | "/rpc" | "/assemble/{transfer}" | "/probe" | "/upload/{transfer}/{segment}"
        ) || route.starts_with("/tus")
            || route.starts_with("/replica/")
            || route.starts_with("/sync/")
            || route.starts_with("/delta/")
    };
    let counts = route.as_ref().is_some_and(|route| !takes_time(route.as_str()));
    let start = Instant::now();
    let response = match shared.gate.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => {
            let response = next.run(request).await;
            if counts {
                shared.health.served(start.elapsed());
            }
            response
        }
        Err(problem) => problem.into_response(),
    };
    shared.metrics.request(route.as_ref().map_or("other", MatchedPath::as_str), response.status().as_u16());
    response
}

/// Around small requests, whose bodies count: an answer in time, or 408.
async fn in_time(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let limit = shared.config.limits.request_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("the request was not complete and answered within {} s", limit.as_secs_f64());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout", detail).into_response()
        }
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(target: "node", "a request handler panicked: {}", what.unwrap_or("no message"));
    Problem::internal("a bug in this node; its log says more").into_response()
}

impl Shared {
    /// The content with this id.
    fn held(&self, id: &str) -> Result<Arc<Held>, Problem> {
        let id: ContentId =
            id.parse().map_err(|error| Problem::bad_request(format!("the content id is none: {error}")))?;
        self.services
            .catalog
            .get(&id)
            .ok_or_else(|| Problem::not_found(format!("content {id} is not shared by this node")))
    }

    /// What a body needs; `files` if it is one of a file.
    fn means(&self, files: bool, outlet: Option<Extension<Outlet>>) -> Result<Means, Problem> {
        let mut slots = vec![self.slot(&self.bodies)?];
        if files {
            slots.push(self.slot(&self.files)?);
        }
        let (metrics, pool, up) = (self.metrics.clone(), self.pool.clone(), self.services.up.clone());
        Ok(Means { metrics, pool, up, slots, outlet: outlet.map(|Extension(outlet)| outlet) })
    }

    fn slot(&self, slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
        slots
            .clone()
            .try_acquire_owned()
            .map_err(|_| Problem::busy("this node sends as much at once as it may", BUSY_RETRY))
    }
}
