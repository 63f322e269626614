//! A call by POST: for documents that are too large for a WebSocket message.

use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use jsonrpsee::types::ErrorObjectOwned;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::link::tcp;
use super::target::Target;
use super::unavailable;
use crate::control::{CommandError, CommandErrorKind};
use crate::rpc::MAX_DOCUMENT_REQUEST;
use crate::rpc::errors::from_wire;

/// For sending a large document and its answer, over a slow link.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes of an answer to a command.
const MAX_ANSWER: usize = 1 << 20;

/// One of both. Not an untagged enum: the error's data is raw JSON, which those cannot hold.
#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    error: Option<ErrorObjectOwned>,
}

/// One call on a connection of its own.
pub(super) async fn call<T: DeserializeOwned>(
    target: &Target,
    method: &str,
    params: Map<String, Value>,
) -> Result<T, CommandError> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    if body.len() > MAX_DOCUMENT_REQUEST as usize {
        let message = format!("the document is too large for a request: {} bytes", body.len());
        return Err(CommandError::new(CommandErrorKind::Invalid, message));
    }
    match timeout(TIMEOUT, exchange(target, Bytes::from(body))).await {
        Ok(Ok(answer)) => match serde_json::from_slice(&answer) {
            Ok(Answer { error: Some(error), .. }) => Err(from_wire(&error)),
            Ok(Answer { result: Some(result), .. }) => Ok(result),
            Ok(_) => Err(unavailable(&format!("{}: an answer without result", target.shown()))),
            Err(error) => Err(unavailable(&format!("{}: no answer of JSON-RPC ({error})", target.shown()))),
        },
        Ok(Err(error)) => Err(error),
        Err(_) => Err(unavailable(&format!("{}: no answer within {} s", target.shown(), TIMEOUT.as_secs()))),
    }
}

async fn exchange(target: &Target, body: Bytes) -> Result<Bytes, CommandError> {
    let lost = |what: &dyn std::fmt::Display| unavailable(&format!("{}: {what}", target.shown()));
    let io = TokioIo::new(tcp(target).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|e| lost(&e))?;
    let mut request = Request::post(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len());
    if let Some(value) = target.authorization() {
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = request.body(Full::new(body)).map_err(|e| lost(&e))?;
    let answering = async {
        let response = sender.send_request(request).await.map_err(|e| lost(&e))?;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(target.refused().into()),
            StatusCode::TOO_MANY_REQUESTS => return Err(lost(&"busy with other large requests; try again")),
            _ => {}
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|e| lost(&e))?;
        Ok(body.to_bytes())
    };
    // The connection's future moves the bytes; it ends after the answer.
    tokio::pin!(connection, answering);
    tokio::select! {
        answer = &mut answering => answer,
        end = &mut connection => match end {
            Ok(()) => answering.await,
            Err(error) => Err(lost(&error)),
        },
    }
}
