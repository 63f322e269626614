//! The requests of a probe: small exchanges, and bodies that tell a rate. What comes back is untrusted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use reqwest::header::{HeaderMap, SERVER};
use reqwest::{Response, StatusCode, Url};

use super::estimate::Arrival;
use crate::content::name::excerpt;
use crate::push::broken;
use crate::swarm::base_client;

/// Arrivals that are kept of one body: neighbours are merged beyond.
const MOST_ARRIVALS: usize = 8_192;
/// A body comes in parts over so many connections at most: one by itself begins with ten packets and does with few of them
/// whenever one is lost, so that it would rarely fill a link that is long, loses packets, or whose latency wavers. …
const STREAMS: u64 = 4;
/// … Each part has this many bytes at least; …
const PART: u64 = 16 << 10;
/// … and where each would have this many there are more of them: a link that carries much takes long to be filled.
const LONG_PART: u64 = 256 << 10;
const MOST_STREAMS: u64 = 8;

/// Why an endpoint could not be probed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No such URL can be.
    #[error("{0:?} is no endpoint: write http://HOST:PORT")]
    Url(String),
    /// No connection, or it broke; says what to do.
    #[error("{0}")]
    Network(String),
    /// Connected, perhaps, but nothing came in time.
    #[error("no answer within {0} s; does the machine run, and does its firewall let the port through?")]
    Silent(u64),
    /// It wants a token.
    #[error("it wants a token: give the one of that node with --token-file")]
    Unauthorized,
    /// Something answers, but it is no skep node.
    #[error("{0}")]
    Stranger(String),
    /// The node is at a limit of its own.
    #[error("the node there is too busy to be probed; try again")]
    Busy,
}

/// The HTTP side of a probe of one endpoint.
#[derive(Debug)]
pub(super) struct Wire {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
}

/// What a body's arrival was like.
#[derive(Debug, Default)]
pub(super) struct Pulled {
    pub arrivals: Vec<Arrival>,
    /// Requests that it took.
    pub requests: u64,
    /// The time was over before its end.
    pub cut: bool,
}

/// `http(s)://HOST:PORT` of what an operator typed.
///
/// # Errors
/// It is no such URL.
pub fn endpoint(text: &str) -> Result<String, ProbeError> {
    let wrong = || ProbeError::Url(excerpt(text));
    let url = Url::parse(text.trim()).map_err(|_| wrong())?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if is_plain { Ok(url.origin().ascii_serialization()) } else { Err(wrong()) }
}

impl Wire {
    pub(super) fn new(endpoint: &str, headers: HeaderMap) -> Result<Self, ProbeError> {
        let url = Url::parse(endpoint).and_then(|url| url.join("/probe"));
        let url = url.map_err(|_| ProbeError::Url(excerpt(endpoint)))?;
        Ok(Self { client: client(&url)?, url, headers })
    }

    /// What is asked for next comes over connections that know nothing of how the link was.
    pub(super) fn renew(&mut self) {
        if let Ok(client) = client(&self.url) {
            self.client = client;
        }
    }

    /// One small exchange: how long it took, and with whom.
    pub(super) async fn head(&self, limit: Duration) -> Result<(Duration, Option<SocketAddr>), ProbeError> {
        let start = Instant::now();
        let request = self.client.head(self.url.clone()).headers(self.headers.clone()).timeout(limit);
        let response = request.send().await.map_err(|error| self.failed(&error, limit))?;
        let took = start.elapsed();
        let from = response.remote_addr();
        checked(&response)?;
        Ok((took, from))
    }

    /// A body of `bytes`, and when which of them arrived; what came before `limit` counts.
    pub(super) async fn pull(&self, bytes: u64, limit: Duration) -> Result<Pulled, ProbeError> {
        let requests = (bytes / PART).clamp(1, STREAMS.max(bytes / LONG_PART).min(MOST_STREAMS));
        let mut parts: Vec<Vec<Arrival>> = vec![Vec::new(); requests as usize];
        let (start, first) = (Instant::now(), bytes - bytes / requests * (requests - 1));
        let pulls = parts.iter_mut().enumerate().map(|(number, part)| {
            let bytes = if number == 0 { first } else { bytes / requests };
            self.pull_part(bytes, start, limit, part)
        });
        let ended = tokio::time::timeout(limit, try_join_all(pulls)).await;
        let arrivals = merged(&parts);
        let cut = match ended {
            Ok(Ok(_)) => false,
            Ok(Err(error)) if arrivals.is_empty() => return Err(error),
            Err(_) if arrivals.is_empty() => return Err(ProbeError::Silent(limit.as_secs().max(1))),
            Ok(Err(_)) | Err(_) => true,
        };
        Ok(Pulled { arrivals, requests, cut })
    }

    async fn pull_part(
        &self,
        bytes: u64,
        start: Instant,
        limit: Duration,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), ProbeError> {
        let mut url = self.url.clone();
        url.set_query(Some(&format!("bytes={bytes}")));
        let request = self.client.get(url).headers(self.headers.clone());
        let mut response = request.send().await.map_err(|error| self.failed(&error, limit))?;
        checked(&response)?;
        let mut sum = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error, limit))? {
            sum += chunk.len() as u64;
            let arrival = Arrival { at: start.elapsed(), bytes: sum };
            if arrivals.len() >= MOST_ARRIVALS {
                arrivals.pop();
            }
            arrivals.push(arrival);
            if sum > bytes {
                return Err(ProbeError::Stranger("it sends more than it was asked for: that is no skep node".into()));
            }
        }
        Ok(())
    }

    fn failed(&self, error: &reqwest::Error, limit: Duration) -> ProbeError {
        match error.is_timeout() {
            true => ProbeError::Silent(limit.as_secs().max(1)),
            false => ProbeError::Network(broken::words(error)),
        }
    }
}

fn client(url: &Url) -> Result<reqwest::Client, ProbeError> {
    let mut client = base_client()
        .redirect(reqwest::redirect::Policy::none())
        // So that what an earlier request warmed the next one uses.
        .pool_max_idle_per_host(MOST_STREAMS as usize);
    if url.scheme() == "http" {
        client = client.tls_certs_only([]);
    }
    client.build().map_err(|error| ProbeError::Network(broken::words(&error)))
}

/// The arrivals of all parts, in order of time.
fn merged(parts: &[Vec<Arrival>]) -> Vec<Arrival> {
    let before = |part: &[Arrival], at: usize| at.checked_sub(1).map_or(0, |at| part[at].bytes);
    let each = |part: &Vec<Arrival>| -> Vec<Arrival> {
        let came = |(at, arrival): (usize, &Arrival)| Arrival { bytes: arrival.bytes - before(part, at), ..*arrival };
        part.iter().enumerate().map(came).collect()
    };
    let mut all: Vec<Arrival> = parts.iter().flat_map(each).collect();
    all.sort_by_key(|arrival| arrival.at);
    let mut sum = 0;
    for arrival in &mut all {
        sum += arrival.bytes;
        arrival.bytes = sum;
    }
    all
}

/// Lets through what only a node's probe answers.
fn checked(response: &Response) -> Result<(), ProbeError> {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let server = excerpt(header(SERVER.as_str()));
    let who = if server.is_empty() { String::new() } else { format!(" ({server})") };
    let status = response.status();
    match status {
        StatusCode::UNAUTHORIZED => Err(ProbeError::Unauthorized),
        StatusCode::FORBIDDEN if who.is_empty() => Err(ProbeError::Unauthorized),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(ProbeError::Busy),
        _ if status.is_redirection() => {
            let to = excerpt(header("location"));
            Err(ProbeError::Stranger(format!(
                "it sends on to {to:?}{who}: that is no skep node, but perhaps a network that wants a login first"
            )))
        }
        _ if status.is_success() && header("skep-probe") == "1" => Ok(()),
        _ if status.is_success() => Err(ProbeError::Stranger(format!(
            "something answers in the node's place{who}: a login page of the network, perhaps, or an ordinary web server; log in \
             there, or check the address"
        ))),
        _ => Err(ProbeError::Stranger(format!(
            "no skep node answers there, but a server{who} that says {status}; check the port"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_one_body() {
        let part = |arrivals: &[(u64, u64)]| -> Vec<Arrival> {
            arrivals.iter().map(|(at, bytes)| Arrival { at: Duration::from_millis(*at), bytes: *bytes }).collect()
        };
        let parts = [part(&[(1, 10), (4, 30)]), part(&[]), part(&[(2, 5), (3, 6)])];
        assert_eq!(merged(&parts), part(&[(1, 10), (2, 15), (3, 16), (4, 36)]));
    }
}
