//! `GET /swarm/manifest/{id}`: the manifest as JSON or Metalink.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::range::none_match;
use crate::node::server::Shared;

/// Media type of Metalink 4 (RFC 5854).
const METALINK: &str = "application/metalink4+xml";

/// `?format=`
#[derive(Debug, Default, Deserialize)]
pub struct Format {
    format: Option<String>,
}

pub async fn manifest(
    State(shared): State<Arc<Shared>>,
    Extension(_ends): Extension<Ends>,
    Path(id): Path<String>,
    query: Result<Query<Format>, QueryRejection>,
    _uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = shared.held(&id)?;
    let _metalink = match query.map_err(|error| Problem::bad_request(error.to_string()))?.format.as_deref() {
        Some("metalink" | "meta4") => true,
        Some("json") => false,
        Some(other) => {
            return Err(Problem::bad_request(format!("format {other:?} is not known: use json or metalink")));
        }
        None => accepts(&headers, METALINK),
    };
    // Name and times are not part of the id, but this node does not change them.
    let etag = format!("\"{}\"", held.id());
    let common = [(header::ETAG, etag.clone()), (header::VARY, "Accept".to_owned())];
    if none_match(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    // Large manifests take a while to write.
    let json = tokio::task::spawn_blocking(move || held.manifest_json())
        .await
        .map_err(|_| Problem::internal("the manifest cannot be written"))?;
    Ok((common, [(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// True if the client names this type (with no weight of 0) and prefers nothing that we also have.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).any(
        |item| {
            let mut parts = item.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media_type))
                && !parts.any(|part| part == "q=0" || part == "q=0.0")
        },
    )
}
