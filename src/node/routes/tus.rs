//! `/tus/`: uploads by any client of tus 1.0, into the same store as ours.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::upload::{Incoming, problem, sender};
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::node::tus::{self, Checksum, Concat, LateChecksum, text};
use crate::upload::{Opened, STREAM, Upload, UploadError, Uploads};

/// `OPTIONS` and `POST /tus/`: what is understood here, and creation.
pub async fn creation(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let result = match method(&request) {
        Ok(Method::OPTIONS) => return with_version(options()),
        Ok(Method::POST) => match speaks(request.headers()) {
            Ok(()) => create(&shared, request).await,
            Err(problem) => Err(problem),
        },
        Ok(other) => Err(not_allowed(&other)),
        Err(problem) => Err(problem),
    };
    with_version(result.unwrap_or_else(Problem::into_response))
}

/// `HEAD`, `PATCH`, `DELETE /tus/{id}`.
pub async fn upload(State(shared): State<Arc<Shared>>, Path(id): Path<String>, request: Request) -> Response {
    let result = match method(&request) {
        Ok(Method::OPTIONS) => return with_version(options()),
        Ok(method) => match speaks(request.headers()) {
            Ok(()) => act(&shared, &id, method, request).await,
            Err(problem) => Err(problem),
        },
        Err(problem) => Err(problem),
    };
    with_version(result.unwrap_or_else(Problem::into_response))
}

/// The method; clients that cannot send every one name it in a header of a `POST`.
fn method(request: &Request) -> Result<Method, Problem> {
    match text(request.headers(), &tus::METHOD_OVERRIDE) {
        Some(name) if *request.method() == Method::POST => {
            Method::from_bytes(name.as_bytes()).map_err(|_| Problem::bad_request("the method is none"))
        }
        _ => Ok(request.method().clone()),
    }
}

fn not_allowed(method: &Method) -> Problem {
    let detail = format!("{method} cannot be used here");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Method not allowed", detail)
}

fn speaks(headers: &HeaderMap) -> Result<(), Problem> {
    if text(headers, &tus::RESUMABLE) == Some(tus::VERSION) {
        return Ok(());
    }
    let detail = format!("this speaks tus {}: say so with Tus-Resumable", tus::VERSION);
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "tus-version", "Another version", detail);
    Err(problem.with(tus::TUS_VERSION, tus::VERSION))
}

fn with_version(mut response: Response) -> Response {
    response.headers_mut().insert(tus::RESUMABLE, HeaderValue::from_static(tus::VERSION));
    response
}

fn options() -> Response {
    let fields = [
        (tus::TUS_VERSION, tus::VERSION.to_owned()),
        (tus::TUS_EXTENSION, tus::EXTENSIONS.to_owned()),
        (tus::TUS_MAX_SIZE, tus::MAX_SIZE.to_string()),
        (tus::TUS_CHECKSUM_ALGORITHM, tus::ALGORITHMS.to_owned()),
    ];
    (StatusCode::NO_CONTENT, fields).into_response()
}

async fn create(shared: &Shared, request: Request) -> Result<Response, Problem> {
    let uploads = shared.uploads()?;
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let kind = tus::concat(text(headers, &tus::CONCAT));
    let kind = kind.ok_or_else(|| Problem::bad_request("Upload-Concat is partial, or final; with URLs"))?;
    let deferred = text(headers, &tus::DEFER_LENGTH) == Some("1");
    let parts = match &kind {
        Concat::Final(names) => whole_parts(uploads, names).await?,
        Concat::Whole | Concat::Part => Vec::new(),
    };
    let size = match &kind {
        Concat::Final(_) => parts.iter().map(|part| part.size()).sum(),
        Concat::Whole | Concat::Part => match (tus::number(headers, &tus::LENGTH), deferred) {
            (Some(size), false) => size,
            (None, true) => tus::MAX_DEFERRED,
            _ => return Err(Problem::bad_request("an upload needs its Upload-Length, or Upload-Defer-Length: 1")),
        },
    };
    if size > tus::MAX_SIZE {
        return Err(Problem::too_large(format!("an upload has at most {} bytes", tus::MAX_SIZE)));
    }
    let id = format!("{STREAM}{:032x}", u128::from_ne_bytes(random()?));
    let mut description = tus::description(&id, size, text(headers, &tus::METADATA)).map_err(Problem::bad_request)?;
    description.deferred = deferred && !matches!(kind, Concat::Final(_));
    if kind == Concat::Part {
        (description.part, description.path) = (true, id.clone());
    }
    let Opened { upload, .. } = uploads.open(&id, description).await.map_err(problem)?;
    if let Concat::Final(_) = kind {
        finish_parts(uploads, &upload, parts).await?;
    } else if text(headers, &header::CONTENT_TYPE) == Some(tus::OFFSET_STREAM) {
        let begun = receive(shared, uploads, &upload, &head, (body, 0)).await;
        if begun.is_err() {
            // The client does not hear where it could go on.
            let _ = uploads.remove(&id).await;
        }
        begun?;
    } else if size == 0 && kind == Concat::Whole {
        upload.complete().await.map_err(problem)?;
    }
    let fields = [
        (header::LOCATION, format!("/tus/{id}")),
        (tus::OFFSET, upload.offset().await.to_string()),
        (tus::EXPIRES, tus::http_date(upload.expires_ms())),
    ];
    Ok((StatusCode::CREATED, fields).into_response())
}

fn random() -> Result<[u8; 16], Problem> {
    let mut bytes = [0; 16];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(16) => Ok(bytes),
        _ => Err(Problem::internal("no randomness to be had")),
    }
}

/// The parts of an upload, all of which must be here.
async fn whole_parts(uploads: &Uploads, names: &[String]) -> Result<Vec<Arc<Upload>>, Problem> {
    let mut parts = Vec::new();
    for name in names {
        let part = uploads.get(name).map_err(problem)?;
        if !part.is_part() || part.offset().await != part.size() {
            return Err(Problem::bad_request(format!("{name} is not a part that is complete")));
        }
        parts.push(part);
    }
    Ok(parts)
}

async fn finish_parts(uploads: &Arc<Uploads>, upload: &Arc<Upload>, parts: Vec<Arc<Upload>>) -> Result<(), Problem> {
    let copied = match upload.concatenate(parts).await {
        Ok(()) => upload.complete().await.map(drop),
        Err(error) => Err(error),
    };
    if copied.is_err() {
        // The client can only begin anew, and has all it needs for that. What it hears is what failed first.
        let _ = uploads.remove(upload.id()).await;
    }
    copied.map_err(problem)
}

async fn act(shared: &Shared, id: &str, method: Method, request: Request) -> Result<Response, Problem> {
    let uploads = shared.uploads()?;
    let upload = uploads.get(id).map_err(problem)?;
    if !upload.is_stream() {
        return Err(problem(UploadError::Unknown));
    }
    match method {
        Method::HEAD => Ok(head(&upload).await),
        Method::PATCH => patch(shared, uploads, &upload, request).await,
        Method::DELETE => {
            uploads.remove(id).await.map_err(problem)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        other => Err(not_allowed(&other)),
    }
}

async fn head(upload: &Upload) -> Response {
    let mut response = StatusCode::OK.into_response();
    let fields = response.headers_mut();
    let mut set = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            fields.insert(name, value);
        }
    };
    set(tus::OFFSET, &upload.offset().await.to_string());
    if upload.is_deferred() {
        set(tus::DEFER_LENGTH, "1");
    } else {
        set(tus::LENGTH, &upload.size().to_string());
    }
    set(tus::EXPIRES, &tus::http_date(upload.expires_ms()));
    set(header::CACHE_CONTROL, "no-store");
    if let Some(metadata) = upload.metadata() {
        set(tus::METADATA, metadata);
    }
    if upload.is_part() {
        set(tus::CONCAT, "partial");
    }
    response
}

async fn patch(
    shared: &Shared,
    uploads: &Arc<Uploads>,
    upload: &Arc<Upload>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    if text(&head.headers, &header::CONTENT_TYPE) != Some(tus::OFFSET_STREAM) {
        let detail = format!("the body's type is {}", tus::OFFSET_STREAM);
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type", detail));
    }
    let offset = tus::number(&head.headers, &tus::OFFSET);
    let offset = offset.ok_or_else(|| Problem::bad_request("Upload-Offset is missing"))?;
    let upload = &match tus::number(&head.headers, &tus::LENGTH) {
        Some(size) => match uploads.set_length(upload, size).await {
            Ok(upload) => upload,
            Err(error) => {
                // A client that is sending hears why only if what it sends is read.
                let slot = shared.slot(&shared.bodies)?;
                Incoming::new(body, shared, uploads.clone()).leave(slot);
                return Err(problem(error));
            }
        },
        None => upload.clone(),
    };
    let offset = receive(shared, uploads, upload, &head, (body, offset)).await?;
    let fields = [(tus::OFFSET, offset.to_string()), (tus::EXPIRES, tus::http_date(upload.expires_ms()))];
    Ok((StatusCode::NO_CONTENT, fields, Body::empty()).into_response())
}

/// Takes a body whose first byte belongs at this offset, and publishes what is complete with it; where the stream
/// stands then.
async fn receive(
    shared: &Shared,
    uploads: &Arc<Uploads>,
    upload: &Arc<Upload>,
    head: &Parts,
    (body, offset): (Body, u64),
) -> Result<u64, Problem> {
    let slot = shared.slot(&shared.bodies)?;
    let mut body = Incoming::new(body, shared, uploads.clone());
    let result = append(uploads, upload, head, offset, &mut body).await;
    if result.is_err() && !head.headers.contains_key(header::EXPECT) {
        body.leave(slot);
    }
    let offset = result?;
    if offset == upload.size() && !upload.is_part() {
        upload.complete().await.map_err(problem)?;
    }
    Ok(offset)
}

/// Takes the body; where the stream stands behind it.
async fn append(
    uploads: &Uploads,
    upload: &Arc<Upload>,
    head: &Parts,
    offset: u64,
    body: &mut Incoming,
) -> Result<u64, Problem> {
    let headers = &head.headers;
    let bad = || Problem::bad_request(format!("Upload-Checksum is one of {}", tus::ALGORITHMS));
    let mut checksum = match headers.get(tus::CHECKSUM) {
        None => None,
        Some(value) => Some(value.to_str().ok().and_then(Checksum::parse).ok_or_else(bad)?),
    };
    let is_late = checksum.is_none() && LateChecksum::is_announced(headers);
    let mut late = is_late.then(LateChecksum::default);
    let whole = is_late || checksum.is_some();
    let mut appender = upload.append(offset, whole, Some(&sender(head))).map_err(problem)?;
    uploads.go_on(upload, offset).map_err(problem)?;
    let length = tus::number(headers, &header::CONTENT_LENGTH).unwrap_or(0);
    if length > upload.size() - offset {
        return Err(Problem::too_large("these are more bytes than Upload-Length says"));
    }
    let ended = upload.clone().ended();
    tokio::pin!(ended);
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = body.next() => chunk?,
            error = &mut ended => return Err(problem(error)),
        };
        let Some(chunk) = chunk else { break };
        if let Some(checksum) = &mut checksum {
            checksum.update(&chunk);
        }
        if let Some(late) = &mut late {
            late.update(&chunk);
        }
        let before = appender.offset() / upload.segment_length();
        appender.feed(&chunk).map_err(problem)?;
        if appender.offset() / upload.segment_length() != before {
            uploads.go_on(upload, appender.offset()).map_err(problem)?;
        }
    }
    if let Some(late) = late {
        let trailer = body.trailers().and_then(|trailers| text(trailers, &tus::CHECKSUM));
        checksum = Some(trailer.and_then(|trailer| late.checked(trailer)).ok_or_else(bad)?);
    }
    if checksum.is_some_and(|checksum| !checksum.matches()) {
        let status = StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST);
        let detail = "the body does not match its Upload-Checksum; none of it counts";
        return Err(Problem::new(status, "digest-mismatch", "Checksum mismatch", detail));
    }
    appender.keep().map_err(problem)
}
