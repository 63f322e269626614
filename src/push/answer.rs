//! What a receiver's answers mean, and in which words people hear of those that are none. Whatever comes back
//! is untrusted: bodies are read up to a cap, what they say is made printable.

use std::io::Read as _;
use std::ops::Range;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SERVER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::wire::WireError;
use crate::content::Digest;
use crate::content::name::excerpt;
use crate::delta::packed::unpack;

/// Largest answer: what is held of a million segments, in the worst case.
const MAX_ANSWER: usize = 16 << 20;
/// What the problem documents of a node call themselves.
const OURS: &str = "urn:skep:problem:";

/// The document that comes with a node's refusal (RFC 9457).
#[derive(Default, Deserialize)]
struct ProblemBody {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    missing: Vec<(u32, u32)>,
    /// Segments whose bytes are not what their digests say.
    #[serde(default)]
    segments: Vec<u32>,
}

/// How an upload ended.
#[derive(Debug, Deserialize)]
pub struct Assembled {
    /// Name under the receiver's root.
    pub path: String,
    /// Bytes in all.
    pub bytes: u64,
    /// SHA-256 of the segments' digests one after another.
    pub sha256_of_segments: Digest,
}

impl Assembled {
    /// Whether it is what was sent: so many bytes, with these digests.
    pub fn is_of(&self, bytes: u64, digests: &[Digest]) -> bool {
        let mut hash = Sha256::new();
        digests.iter().for_each(|digest| hash.update(digest.0));
        (self.bytes, self.sha256_of_segments) == (bytes, Digest(hash.finalize().into()))
    }
}

/// What is looked at of an answer, beside its body.
#[derive(Debug, Default)]
struct Head {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// What the server calls itself.
    server: String,
    /// Where it sends on to.
    location: String,
}

impl Head {
    fn of(response: &Response) -> Self {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            status: response.status(),
            retry_after: text(RETRY_AFTER).trim().parse().ok().map(Duration::from_secs),
            server: excerpt(text(SERVER)),
            location: excerpt(text(LOCATION)),
        }
    }
}

/// Lets through what went well.
pub(super) async fn checked(response: Response) -> Result<Response, WireError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let head = Head::of(&response);
    Err(refusal(&head, &read_capped(response).await.unwrap_or_default()))
}

/// The answer of something that has no route of ours; `response` is without a body.
pub(super) fn stranger(response: &Response) -> WireError {
    let head = Head::of(response);
    WireError::Status { status: head.status.as_u16(), detail: foreign(&head, &[]) }
}

/// Lets through what only a node's probe answers (`Skep-Probe`). A network that wants a login first answers 200 to anything; what is
/// for the node is not lost there, so that is as good as no answer.
pub(super) fn ours(response: &Response) -> Result<(), WireError> {
    if response.headers().get("skep-probe").is_some_and(|value| value == "1") {
        return Ok(());
    }
    let server = Head::of(response).server;
    let who = if server.is_empty() { String::new() } else { format!(" ({server})") };
    Err(WireError::Broken(format!(
        "something answers in the node's place{who}: a login page of the network, perhaps, or an ordinary web server; log in there, \
         or check the address"
    )))
}

/// Why a request was refused.
fn refusal(head: &Head, body: &[u8]) -> WireError {
    let problem = serde_json::from_slice::<ProblemBody>(body).ok().filter(|problem| problem.kind.starts_with(OURS));
    let other = || WireError::Status { status: head.status.as_u16(), detail: foreign(head, body) };
    match head.status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => return WireError::Busy(head.retry_after),
        StatusCode::UNAUTHORIZED => {
            let words = "the receiver wants a token: give the one of that node with --token-file";
            return WireError::Refused(words.into());
        }
        // An answer to HEAD has no body that could tell whose it is.
        StatusCode::NOT_FOUND | StatusCode::GONE if problem.is_some() || body.is_empty() => return WireError::Unknown,
        _ => {}
    }
    let Some(problem) = problem else {
        return match head.status {
            StatusCode::FORBIDDEN => WireError::Refused(foreign(head, body)),
            _ => other(),
        };
    };
    let detail = excerpt(&problem.detail);
    let ranges = |runs: &mut dyn Iterator<Item = Range<u32>>| {
        let runs: Vec<(u32, u32)> = runs.map(|run| (run.start, run.end)).collect();
        match in_order(&runs) {
            Ok(()) => WireError::Missing(runs.into_iter().map(|(start, end)| start..end).collect()),
            Err(error) => error,
        }
    };
    match head.status {
        StatusCode::FORBIDDEN => WireError::Refused(detail),
        StatusCode::INSUFFICIENT_STORAGE => WireError::Full(detail),
        StatusCode::CONFLICT if problem.kind.ends_with(":incomplete") => {
            ranges(&mut problem.missing.into_iter().map(|(a, b)| a..b))
        }
        StatusCode::UNPROCESSABLE_ENTITY if !problem.segments.is_empty() => {
            ranges(&mut problem.segments.into_iter().map(|s| s..s.saturating_add(1)))
        }
        status => WireError::Status { status: status.as_u16(), detail: advised(&problem.kind, detail) },
    }
}

/// What a node says, with what to do about it where there is something.
fn advised(kind: &str, detail: String) -> String {
    match kind.strip_prefix(OURS) {
        Some("quota") => format!("{detail}; its operator can raise that, or cancel what is unfinished there"),
        Some("conflict") if detail.ends_with(" is taken") => {
            format!("{detail}; send to another name, or with --if-taken overwrite or keep-both")
        }
        _ => detail,
    }
}

/// What to think of an answer that no node gave: a web server's, or that of a proxy in between.
fn foreign(head: &Head, body: &[u8]) -> String {
    let named = |who: &str| if head.server.is_empty() { who.to_owned() } else { format!("{who} ({})", head.server) };
    let talks_tls = || String::from_utf8_lossy(&body[..body.len().min(4 << 10)]).contains("HTTPS port");
    match head.status.as_u16() {
        300..400 if !head.location.is_empty() => format!("it sends on to {}: give that address instead", head.location),
        400 if talks_tls() => "it expects TLS there: write https:// instead of http://".into(),
        403 => format!("{} forbids it there; ask who runs it", named("what answers")),
        407 => "a proxy in between wants to know who asks".into(),
        413 => format!(
            "{} takes no request of this size: allow more there, or send with a smaller --segment",
            named("something in between")
        ),
        502 | 504 => format!("{} gets no answer from the node behind it: does it run?", named("a proxy")),
        _ => format!("{} is no skep node; check host and port", named("what answers there")),
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|e| WireError::Malformed(format!("not a receiver's answer: {e}")))
}

/// Reads an answer that only a node gives.
pub(super) async fn parsed<T: for<'a> Deserialize<'a>>(response: Response) -> Result<T, WireError> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    let kind = excerpt(kind.unwrap_or("nothing known"));
    let body = read_capped(response).await?;
    if !is_json {
        let words =
            format!("what answers there is no skep node (it gives {kind} where JSON belongs); check host and port");
        return Err(WireError::Malformed(words));
    }
    parse(&body)
}

/// Lets runs of segments through, from the first to before the second, that ascend and do not overlap: so they name no more segments
/// than there are, however many of them come.
pub(super) fn in_order(runs: &[(u32, u32)]) -> Result<(), WireError> {
    let mut at = 0;
    for (start, end) in runs {
        if *start < at || end < start {
            return Err(WireError::Malformed("the receiver names segments in no order, or more than once".into()));
        }
        at = *end;
    }
    Ok(())
}

pub(super) async fn read_capped(response: Response) -> Result<Vec<u8>, WireError> {
    read_up_to(response, MAX_ANSWER).await
}

pub(super) async fn read_up_to(mut response: Response, most: usize) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(WireError::Malformed("an answer that is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a frame of zstd holds, if that is no more than `most` bytes.
pub(super) fn unpacked(frame: &[u8], most: usize) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    let read = unpack(frame).and_then(|from| from.take(most as u64 + 1).read_to_end(&mut body));
    read.map_err(|e| WireError::Malformed(format!("an answer that cannot be unpacked: {e}")))?;
    if body.len() > most { Err(WireError::Malformed("an answer that is too long".into())) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::delta::packed::pack;

    #[test]
    fn what_unpacks_to_more_than_may_come_is_refused_and_so_is_rubbish() {
        let mut packed = pack(Vec::new(), None).unwrap();
        packed.write_all(&vec![b' '; 1 << 20]).unwrap();
        let frame = packed.finish().unwrap();
        assert!(frame.len() < 1_000);
        assert_eq!(unpacked(&frame, 1 << 20).unwrap().len(), 1 << 20);
        assert!(matches!(unpacked(&frame, (1 << 20) - 1), Err(WireError::Malformed(_))));
        assert!(matches!(unpacked(&frame[..frame.len() / 2], 1 << 20), Err(WireError::Malformed(_))));
        assert!(matches!(unpacked(b"{}", 1 << 20), Err(WireError::Malformed(_))));
    }

    fn said(status: u16, server: &str, location: &str, body: &str) -> String {
        let head = Head {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            server: server.into(),
            location: location.into(),
        };
        refusal(&head, body.as_bytes()).to_string()
    }

    #[test]
    fn every_refusal_is_a_sentence_that_says_what_to_do() {
        let html = "<html><h1>405 Not Allowed</h1></html>";
        let ours = |kind: &str, detail: &str| format!(r#"{{"type":"urn:skep:problem:{kind}","detail":"{detail}"}}"#);
        let taken = ours("conflict", r#"\"in/a\" is taken"#);
        for (answer, words) in [
            (
                (405, "nginx/1.24", "", html),
                "answered 405: what answers there (nginx/1.24) is no skep node; check host and port",
            ),
            ((404, "", "", html), "answered 404: what answers there is no skep node; check host and port"),
            ((404, "nginx", "", ""), "does not know this upload"),
            ((404, "", "", &ours("not-found", "x")), "does not know this upload"),
            ((301, "nginx", "https://h/x", html), "it sends on to https://h/x: give that address"),
            ((400, "", "", "plain HTTP request was sent to HTTPS port"), "write https:// instead"),
            ((403, "Apache", "", html), "what answers (Apache) forbids it"),
            ((403, "", "", &ours("cancelled", "the operator cancelled it")), "the operator cancelled it"),
            ((401, "", "", ""), "wants a token: give the one of that node with --token-file"),
            ((413, "nginx", "", html), "something in between (nginx) takes no request of this size"),
            ((413, "", "", &ours("quota", "over it")), "over it; its operator can raise that"),
            ((507, "", "", &ours("no-space", "5 bytes free")), "no space for it (5 bytes free): make space there"),
            ((502, "nginx", "", html), "a proxy (nginx) gets no answer from the node behind it"),
            ((409, "", "", &taken), "\"in/a\" is taken; send to another name, or with --if-taken"),
            ((409, "", "", &ours("conflict", "another one")), "answered 409: another one"),
            ((503, "", "", ""), "busy"),
        ] {
            let (status, server, location, body) = answer;
            let told = said(status, server, location, body);
            assert!(told.contains(words), "{status}: {told}");
        }
        let body = r#"{"type":"urn:skep:problem:incomplete","missing":[[1,9],[1,9]]}"#;
        assert!(said(409, "", "", body).contains("in no order"));
        for bad in [&[(0, 5), (4, 6)][..], &[(3, 2)], &[(7, 9), (1, 2)]] {
            assert!(in_order(bad).is_err(), "{bad:?}");
        }
        assert!(in_order(&[(0, 0), (0, 5), (5, 5), (5, u32::MAX)]).is_ok());
        // What is missing is told by ranges, by whom they come from ourselves.
        let body = r#"{"type":"urn:skep:problem:incomplete","missing":[[1,3]]}"#;
        let head = Head { status: StatusCode::CONFLICT, ..Head::default() };
        assert!(matches!(refusal(&head, body.as_bytes()), WireError::Missing(runs) if runs.iter().eq([&(1..3)])));
    }
}
