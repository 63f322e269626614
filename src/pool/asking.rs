//! Asking the nodes of the list how they are, over `GET /health`: those that gossip tells of need no asking.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use serde::Deserialize;

use crate::content::name::printable;
use crate::control::pool::{Figures, MAX_NAME};
use crate::swarm::{base_client, cause_of};

/// Time between two questions. Two that fail make a node unavailable: with [`PATIENCE`] that is within five seconds.
pub const INTERVAL: Duration = Duration::from_millis(1_500);
/// Longest wait for an answer.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

#[derive(Deserialize)]
struct Report {
    name: String,
    #[serde(flatten)]
    figures: Figures,
}

/// Asks.
#[derive(Debug)]
pub struct Asker {
    plain: reqwest::Client,
    /// Reading the system's certificates waits until a URL needs them.
    secure: OnceLock<Result<reqwest::Client, String>>,
    /// Go along with every question.
    headers: HeaderMap,
}

impl Asker {
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(headers: HeaderMap) -> Result<Self, String> {
        let client = base_client().redirect(Policy::none()).tls_certs_only([]).build();
        Ok(Self { plain: client.map_err(|error| cause_of(&error))?, secure: OnceLock::new(), headers })
    }

    /// What the node at `endpoint` calls itself, and how it is.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn ask(&self, endpoint: &str) -> Result<(String, Figures), String> {
        match tokio::time::timeout(PATIENCE, self.answer(endpoint)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("nothing within {} s", PATIENCE.as_secs())),
        }
    }

    fn client(&self, endpoint: &str) -> Result<&reqwest::Client, String> {
        if !endpoint.starts_with("https:") {
            return Ok(&self.plain);
        }
        let made = || base_client().redirect(Policy::none()).build().map_err(|error| cause_of(&error));
        self.secure.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    async fn answer(&self, endpoint: &str) -> Result<(String, Figures), String> {
        let request = self.client(endpoint)?.get(format!("{endpoint}/health")).headers(self.headers.clone());
        let failed = |error: reqwest::Error| printable(&cause_of(&error));
        let mut response = request.send().await.map_err(failed)?;
        match response.status().as_u16() {
            200 => {}
            401 | 403 => return Err("it has another token: nodes of a pool share one, see --token-file".to_owned()),
            status => return Err(format!("status {status} instead of a health report")),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err("what answers there is no node".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        let report: Report = serde_json::from_slice(&body).map_err(|_| "what answers there is no node".to_owned())?;
        Ok((printable(&report.name).chars().take(MAX_NAME).collect(), report.figures))
    }
}
