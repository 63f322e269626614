//! `GET` and `HEAD /swarm/file/{id}/{path}`: a file as any HTTP client expects it.
//!
//! The path is looked up in the manifest, never on the disk. Not choked, since such clients know
//! nothing of slots, but throttled, and capped in number. What is not all here is 404, so that no
//! client ever gets a torn file.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest as _, Sha256};

use super::piece::gone;
use crate::content::EntryKind;
use crate::node::body::Sender;
use crate::node::outlet::Outlet;
use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::range::{self, Wanted};
use crate::node::server::Shared;
use crate::swarm::Held;

/// What an answer says and sends.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// Bytes of the content; empty: no body.
    bytes: Range<u64>,
}

pub async fn head(
    State(shared): State<Arc<Shared>>,
    Path((id, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = shared.held(&id)?;
    let answer = plan(&held, &path, &headers)?;
    Ok((answer.status, answer.headers).into_response())
}

pub async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(ends): Extension<Ends>,
    outlet: Option<Extension<Outlet>>,
    Path((id, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = shared.held(&id)?;
    let answer = plan(&held, &path, &headers)?;
    if answer.bytes.is_empty() {
        return Ok((answer.status, answer.headers).into_response());
    }
    let means = shared.means(true, outlet)?;
    let sender = Sender::open(held, ends.peer(&headers), answer.bytes, 0, means).await.map_err(gone)?;
    Ok((answer.status, answer.headers, sender.into_body()).into_response())
}

fn plan(held: &Held, path: &str, request: &HeaderMap) -> Result<Answer, Problem> {
    let (index, entry) = held
        .entry(path)
        .filter(|(_, entry)| entry.kind() == EntryKind::File)
        .ok_or_else(|| Problem::not_found(format!("the content has no file {path:?}")))?;
    let (layout, file) = (held.layout(), held.layout().file(index));
    let etag = etag(held, path);
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, &etag);
    set(header::ACCEPT_RANGES, "bytes");
    if range::none_match(request, &etag) {
        return Ok(Answer { status: StatusCode::NOT_MODIFIED, headers, bytes: 0..0 });
    }
    set(header::CONTENT_TYPE, "application/octet-stream");
    // Shared data is never to run as a page of this address.
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_DISPOSITION, &disposition(path.rsplit('/').next().unwrap_or(path)));
    let pieces = layout.pieces_of(&file);
    let digest = match (entry.size, pieces.len()) {
        (0, _) => Some(Sha256::digest(b"").into()),
        (_, 1) if layout.piece(pieces.start) == file => {
            held.manifest().pieces.get(pieces.start as usize).map(|digest| digest.0)
        }
        _ => None,
    };
    if let Some(digest) = digest {
        set(super::REPR_DIGEST, &format!("sha-256=:{}:", BASE64.encode(&digest)));
    }
    let header = request.get(header::RANGE).filter(|_| range::if_range(request, &etag));
    let (status, part) = match range::parse(header.and_then(|value| value.to_str().ok()), entry.size) {
        Wanted::Whole => (StatusCode::OK, 0..entry.size),
        Wanted::Part(part) => {
            set(header::CONTENT_RANGE, &format!("bytes {}-{}/{}", part.start, part.end - 1, entry.size));
            (StatusCode::PARTIAL_CONTENT, part)
        }
        Wanted::Unsatisfiable => {
            return Err(Problem::out_of_range("no such bytes, or not in one part")
                .with(header::CONTENT_RANGE, &format!("bytes */{}", entry.size)));
        }
    };
    let bytes = file.start + part.start..file.start + part.end;
    let needed = layout.pieces_of(&bytes);
    if !held.has_all(needed.clone()) {
        let have = held.have();
        let here = needed.clone().filter(|piece| have.get(*piece)).count();
        return Err(Problem::not_here(format!("{here} of the {} pieces of these bytes are here", needed.len())));
    }
    set(header::CONTENT_LENGTH, &(part.end - part.start).to_string());
    Ok(Answer { status, headers, bytes })
}

/// A strong entity tag: content id and path fix every byte.
fn etag(held: &Held, path: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(held.id().0);
    hash.update(path.as_bytes());
    format!("\"{}\"", HEXLOWER.encode(&hash.finalize()[..16]))
}

/// RFC 6266: a plain name for old clients, the true one in UTF-8.
fn disposition(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || " ._-+()".contains(c) { c } else { '_' };
    let mut text =
        format!("attachment; filename=\"{}\"; filename*=UTF-8''", name.chars().map(plain).collect::<String>());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out_of_the_header() {
        assert_eq!(disposition("a\"b\r\né"), "attachment; filename=\"a_b___\"; filename*=UTF-8''a%22b%0D%0A%C3%A9");
    }
}
