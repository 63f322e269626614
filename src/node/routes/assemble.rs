//! `POST /assemble/{transfer}`: everything was sent; verify and publish it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::upload::problem;
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::upload::Assembly;

/// Answers when it is done, which takes as long as reading everything back.
pub async fn assemble(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let upload = shared.uploads()?.get(&id).map_err(problem)?;
    let assembly = shared.document(request.into_body(), Assembly::from_reader).await?;
    let published = upload.assemble(assembly.segments).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(published)).into_response())
}
