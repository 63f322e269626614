//! `GET /health` and `GET /metrics`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::node::health::HealthReport;
use crate::node::problem::Problem;
use crate::node::server::{Reporter, Shared};

/// Media type of OpenMetrics text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub async fn health(State(shared): State<Arc<Shared>>) -> Json<HealthReport> {
    Json(Reporter::of(shared).report().await)
}

pub async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => Problem::internal("the metrics cannot be written").into_response(),
    }
}
