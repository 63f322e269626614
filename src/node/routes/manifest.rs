//! `GET /swarm/manifest/{id}`: the manifest as JSON or Metalink.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::content::{FileEntry, metalink};
use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::range::none_match;
use crate::node::server::Shared;
use crate::swarm::Held;

/// Media type of Metalink 4 (RFC 5854).
const METALINK: &str = "application/metalink4+xml";

/// `?format=`
#[derive(Debug, Default, Deserialize)]
pub struct Format {
    format: Option<String>,
}

pub async fn manifest(
    State(shared): State<Arc<Shared>>,
    Extension(ends): Extension<Ends>,
    Path(id): Path<String>,
    query: Result<Query<Format>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = shared.held(&id)?;
    let metalink = match query.map_err(|error| Problem::bad_request(error.to_string()))?.format.as_deref() {
        Some("metalink" | "meta4") => true,
        Some("json") => false,
        Some(other) => {
            return Err(Problem::bad_request(format!("format {other:?} is not known: use json or metalink")));
        }
        None => accepts(&headers, METALINK),
    };
    // Name and times are not part of the id, but this node does not change them.
    let etag = format!("\"{}\"", held.id());
    let etag = if metalink { format!("{}-meta4\"", etag.trim_end_matches('"')) } else { etag };
    let common = [(header::ETAG, etag.clone()), (header::VARY, "Accept".to_owned())];
    if none_match(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let host = ends.host(&uri, &headers);
    // Large manifests take a while to write.
    if metalink {
        let text = tokio::task::spawn_blocking(move || as_metalink(&held, &host))
            .await
            .map_err(|_| Problem::internal("the Metalink cannot be written"))?;
        return Ok((common, [(header::CONTENT_TYPE, METALINK)], text).into_response());
    }
    let json = tokio::task::spawn_blocking(move || held.manifest_json())
        .await
        .map_err(|_| Problem::internal("the manifest cannot be written"))?;
    Ok((common, [(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// Metalink 4 with the URL of each file at this node.
fn as_metalink(held: &Held, host: &str) -> String {
    let url = |entry: &FileEntry| vec![format!("http://{host}/swarm/file/{}/{}", held.id(), encode_path(&entry.path))];
    metalink::write(held.manifest(), url, |_| None)
}

/// Percent-encodes a path, slashes apart (RFC 3986).
fn encode_path(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
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
