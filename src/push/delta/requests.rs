//! The requests of a delta over one path, and what they cost on the wire.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{CONTENT_ENCODING, ETAG, HeaderMap, IF_MATCH};
use reqwest::{Body, RequestBuilder, Response, Url};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::super::answer::{checked, parse, read_capped, read_up_to};
use super::super::wire::{Wire, WireError};
use super::silence::{Heard, QUIET, Silence};
use crate::delta::flow::STOPPED;
use crate::throttle::{self, Throttle};
use crate::upload::PatchedFile;

/// A signature comes in pieces while it is made: a receiver that gives no sign for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Nor is one that takes so long to say whether it is at work.
const ASKED: Duration = Duration::from_secs(10);
/// What people hear of it.
const SILENT: &str = "no answer in time";
/// Bytes by which a way's rate is measured: first few, and where they were gone at once, more.
const FEW: usize = 64 << 10;
const MORE: usize = 4 << 20;
/// Bytes of an answer that is to have none.
const MOST_SAID: usize = 64 << 10;
/// This is at once.
const AT_ONCE: Duration = Duration::from_millis(10);
/// Asks for the fast strong hash; who does not know it overlooks that, and answers SHA-256.
const FAST: &str = "strong=xxh3";
/// A request line, a status line, and what the HTTP library adds.
const LINES: u64 = 120;

/// Bytes that went and came, heads included as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    /// To the receiver.
    pub sent: AtomicU64,
    /// From it.
    pub received: AtomicU64,
    /// Bytes of instructions that were made so far, as they were before anything was packed.
    pub made: AtomicU64,
}

impl Cost {
    pub(crate) fn both(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) + self.received.load(Ordering::Relaxed)
    }

    fn head(&self, sent: &HeaderMap, url: &Url, received: &HeaderMap) {
        let of = |headers: &HeaderMap| {
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() as u64 + LINES
        };
        self.sent.fetch_add(of(sent) + url.as_str().len() as u64, Ordering::Relaxed);
        self.received.fetch_add(of(received), Ordering::Relaxed);
    }
}

/// What is there, and the beginning of its signature.
#[derive(Debug)]
pub(crate) struct Old {
    /// Bytes of it.
    pub size: u64,
    /// Names its version.
    pub tag: String,
    /// The signature is its body.
    pub response: Response,
}

/// What a delta makes.
#[derive(Debug, Clone)]
pub(crate) struct Making {
    /// [`Old::tag`].
    pub tag: String,
    /// The file that this is of, if it is another than the new one.
    pub basis: Option<String>,
    /// Bytes of the new file.
    pub size: u64,
    /// `overwrite`, `keep-both` or `refuse`.
    pub policy: &'static str,
    /// Its permission bits.
    pub mode: u32,
    /// Its time of modification.
    pub mtime: Option<jiff::Timestamp>,
    /// The instructions come in a frame of zstd.
    pub packed: bool,
}

impl Wire {
    fn delta_url(&self, what: &str, target: &str) -> Result<Url, WireError> {
        let mut url = self.url(&format!("/delta/{what}"))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(target.split('/'));
        }
        Ok(url)
    }

    /// The signature of all of what is there, by the receiver's rule for blocks. None: nothing is.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub(crate) async fn old(&self, target: &str, source_size: u64, cost: &Cost) -> Result<Option<Old>, WireError> {
        let mut url = self.delta_url("signatures", target)?;
        url.set_query(Some(&format!("source_size={source_size}&{FAST}")));
        let response = match self.asked(self.client().get(url), cost, 0).await {
            Err(WireError::Unknown) => return Ok(None),
            other => other?,
        };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let size = header("skep-size").and_then(|size| size.parse().ok());
        let tag = header(ETAG.as_str()).filter(|tag| tag.len() < 200).map(str::to_owned);
        let (Some(size), Some(tag)) = (size, tag) else {
            return Err(WireError::Malformed("a signature without size and ETag: is it a skep node?".into()));
        };
        Ok(Some(Old { size, tag, response }))
    }

    /// Signatures of some stretches.
    ///
    /// # Errors
    /// No answer; 412 if what is there has changed.
    pub(crate) async fn signatures(
        &self,
        target: &str,
        tag: &str,
        asks: Vec<u8>,
        cost: &Cost,
    ) -> Result<Response, WireError> {
        let mut url = self.delta_url("signatures", target)?;
        url.set_query(Some(FAST));
        let request = self.client().post(url).header(IF_MATCH, tag);
        let length = asks.len() as u64;
        self.asked(request.body(asks), cost, length).await
    }

    /// What the way takes in bytes per second, by a few bytes that go nowhere. None: it cannot be told.
    pub(super) async fn rate(&self, cost: &Cost) -> Option<u64> {
        let mut rate = None;
        for bytes in [FEW, MORE] {
            let request = self.client().post(self.url("/probe").ok()?).body(Bytes::from(vec![0; bytes]));
            let begun = Instant::now();
            let answer = self.asked(request, cost, bytes as u64).await.ok()?;
            soon(read_up_to(answer, MOST_SAID)).await.ok()?;
            let took = begun.elapsed();
            rate = Some((bytes as f64 / took.as_secs_f64().max(1e-6)) as u64);
            if took > AT_ONCE {
                break;
            }
        }
        rate
    }

    async fn asked(&self, request: RequestBuilder, cost: &Cost, body: u64) -> Result<Response, WireError> {
        let request = request.headers(self.headers().clone()).build()?;
        let (sent, url) = (request.headers().clone(), request.url().clone());
        cost.sent.fetch_add(body, Ordering::Relaxed);
        let response = tokio::time::timeout(SILENCE, self.client().execute(request)).await;
        let response = match response {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.broke(&error).await),
            Err(_) => return Err(WireError::Broken(SILENT.into())),
        };
        cost.head(&sent, &url, response.headers());
        soon(checked(response)).await
    }

    /// Whether a delta of `target` is at work at the receiver.
    async fn applying(&self, target: &str) -> Heard {
        let asked = async {
            let request = self.client().get(self.delta_url("apply", target)?);
            let response = self.client().execute(request.headers(self.headers().clone()).build()?).await?;
            Ok::<Response, WireError>(response)
        };
        let Ok(Ok(response)) = tokio::time::timeout(ASKED, asked).await else { return Heard::Mute };
        let came = response.headers().get("skep-came").and_then(|came| came.to_str().ok()?.parse().ok());
        match (response.status().as_u16(), came) {
            (200, Some(came)) => Heard::AtWork(came),
            (404, _) => Heard::Absent,
            _ => Heard::Other,
        }
    }

    /// Sends instructions. `moved` counts the bytes that went.
    ///
    /// # Errors
    /// They did not get through; 412 if what is there has changed, 422 if the result is not what it should be.
    pub(crate) async fn apply(
        &self,
        target: &str,
        making: &Making,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        throttles: Arc<[Arc<Throttle>]>,
        cost: &Arc<Cost>,
    ) -> Result<PatchedFile, WireError> {
        let mut url = self.delta_url("apply", target)?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("size", &making.size.to_string()).append_pair("policy", making.policy);
            query.append_pair("mode", &making.mode.to_string());
            if let Some(basis) = &making.basis {
                query.append_pair("basis", basis);
            }
            if let Some(mtime) = making.mtime {
                query.append_pair("mtime", &mtime.to_string());
            }
        }
        let counted = cost.clone();
        let paced = body.then(move |chunk| {
            let (throttles, counted) = (throttles.clone(), counted.clone());
            async move {
                let chunk = chunk?;
                throttle::acquire(&throttles, chunk.len() as u64).await;
                counted.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                crate::failpoint::step("delta:sending");
                Ok::<Bytes, io::Error>(chunk)
            }
        });
        let mut request = self.client().post(url).headers(self.headers().clone()).header(IF_MATCH, &making.tag);
        if making.packed {
            request = request.header(CONTENT_ENCODING, "zstd");
        }
        let request = request.body(Body::wrap_stream(paced)).build()?;
        let (sent, url) = (request.headers().clone(), request.url().clone());
        let answer = self.client().execute(request);
        tokio::pin!(answer);
        // A receiver may take long to read, and to write; as long as it does, it lives.
        let mut silence = Silence::new(Instant::now());
        let response = loop {
            let before = cost.sent.load(Ordering::Relaxed);
            let quiet = async {
                tokio::time::sleep(QUIET).await;
                if cost.sent.load(Ordering::Relaxed) == before { Some(self.applying(target).await) } else { None }
            };
            let heard = tokio::select! {
                biased;
                response = &mut answer => match response {
                    Ok(response) => break response,
                    Err(error) => return Err(self.broke(&error).await),
                },
                heard = quiet => heard,
            };
            match heard {
                None => silence.moved(Instant::now()),
                Some(heard) if silence.on_answer(heard, Instant::now()) => {
                    return Err(WireError::Broken(SILENT.into()));
                }
                Some(_) => {}
            }
        };
        cost.head(&sent, &url, response.headers());
        let answer = soon(async { read_capped(checked(response).await?).await }).await?;
        cost.received.fetch_add(answer.len() as u64, Ordering::Relaxed);
        parse(&answer)
    }
}

/// What follows an answer's head, which must not take for ever.
async fn soon<T>(rest: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    tokio::time::timeout(SILENCE, rest).await.unwrap_or_else(|_| Err(WireError::Broken(SILENT.into())))
}

/// A response's body as a reader, for a thread that may block.
pub(crate) struct Blocking {
    handle: Handle,
    stop: CancellationToken,
    response: Response,
    rest: Bytes,
    cost: Arc<Cost>,
}

impl Blocking {
    pub(crate) fn new(handle: Handle, stop: CancellationToken, response: Response, cost: Arc<Cost>) -> Self {
        Self { handle, stop, response, rest: Bytes::new(), cost }
    }
}

impl Read for Blocking {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            let response = &mut self.response;
            let some = async {
                // Empty ones are no end, and no sign of life either.
                loop {
                    match response.chunk().await {
                        Ok(Some(chunk)) if chunk.is_empty() => {}
                        Ok(chunk) => return Ok(chunk.unwrap_or_default()),
                        Err(error) => return Err(broken(WireError::from(error))),
                    }
                }
            };
            let next = async {
                tokio::select! {
                    () = self.stop.cancelled() => Err(STOPPED.into()),
                    next = tokio::time::timeout(SILENCE, some) => {
                        next.unwrap_or_else(|_| Err(broken(WireError::Broken(SILENT.into()))))
                    }
                }
            };
            self.rest = self.handle.block_on(next)?;
            self.cost.received.fetch_add(self.rest.len() as u64, Ordering::Relaxed);
        }
        let count = buf.len().min(self.rest.len());
        buf[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// A wire's error on its way through something that knows errors of reading only; [`mended`] brings it back.
pub(crate) fn broken(error: WireError) -> io::Error {
    io::Error::other(error)
}

/// See [`broken`]. A body that ends too early did not break off: it is one that was made so.
pub(crate) fn mended(error: io::Error) -> WireError {
    let text = error.to_string();
    match error.downcast::<WireError>() {
        Ok(error) => error,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => WireError::Malformed("it ends too early".into()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => WireError::Malformed(text),
        Err(_) => WireError::Broken(text),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::DefaultBodyLimit;
    use axum::routing::post;

    use super::*;
    use crate::push::paths::PathSpec;

    async fn wire(app: Router) -> Wire {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Wire::new(&PathSpec { endpoint, via: None }, "f", HeaderMap::new()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_without_end_measures_nothing_and_takes_no_memory() {
        let endless = || async {
            Body::from_stream(futures_util::stream::repeat(Bytes::from(vec![0; 64 << 10])).map(Ok::<_, Infallible>))
        };
        let cost = Cost::default();
        assert_eq!(wire(Router::new().route("/probe", post(endless))).await.rate(&cost).await, None);
        let good =
            wire(Router::new().route("/probe", post(async |_: Bytes| ())).layer(DefaultBodyLimit::disable())).await;
        assert!(good.rate(&cost).await.is_some());
    }

    /// What comes of a delta of a few bytes that is sent to somebody who answers as told: to the delta itself (never, if nobody tells it to),
    /// and to each question after it.
    async fn applied(
        come: Arc<tokio::sync::Notify>,
        asked: impl Fn(u32) -> axum::response::Response + Clone + Send + Sync + 'static,
    ) -> Result<PatchedFile, WireError> {
        let times = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let answer = async move |_: Bytes| {
            come.notified().await;
            let sha256 = crate::content::Digest([0; 32]);
            axum::Json(PatchedFile { path: "f".into(), bytes: 4, matched_bytes: 4, literal_bytes: 0, sha256 })
        };
        let app = Router::new()
            .route("/delta/apply/f", post(answer).get(async move || asked(times.fetch_add(1, Ordering::Relaxed))));
        let making = Making {
            tag: "\"1\"".into(),
            basis: None,
            size: 4,
            policy: "overwrite",
            mode: 0o644,
            mtime: None,
            packed: false,
        };
        let body = futures_util::stream::iter([Ok(Bytes::from_static(b"some"))]);
        let (wire, cost) = (wire(app).await, Arc::new(Cost::default()));
        let sent = wire.apply("f", &making, body, Arc::new([]), &cost);
        tokio::time::timeout(Duration::from_secs(60), sent).await.expect("it waits for ever")
    }

    #[tokio::test]
    async fn an_answer_that_got_lost_is_not_waited_for() {
        use axum::response::IntoResponse as _;
        let (here, gone) =
            (|| [("skep-came", "4")].into_response(), || axum::http::StatusCode::NOT_FOUND.into_response());
        // At work, then not any more, and no answer: it has got lost.
        let sent = applied(Arc::default(), move |times| if times < 3 { here() } else { gone() }).await;
        assert!(matches!(&sent, Err(WireError::Broken(why)) if why == SILENT), "{sent:?}");
        // Never there.
        let sent = applied(Arc::default(), move |_| gone()).await;
        assert!(matches!(&sent, Err(WireError::Broken(why)) if why == SILENT), "{sent:?}");
        // It takes its time: far longer than one that is gone is waited for.
        let come = Arc::new(tokio::sync::Notify::new());
        let tell = come.clone();
        let sent = applied(come, move |times| {
            if times == 20 {
                tell.notify_one();
            }
            here()
        });
        assert_eq!(sent.await.unwrap().bytes, 4);
    }

    #[tokio::test]
    async fn whoever_fills_a_buffer_from_a_stalled_body_can_be_stopped() {
        let some = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::new()), Ok(Bytes::from("some"))]);
        let body = reqwest::Body::wrap_stream(some.chain(futures_util::stream::pending()));
        let (stop, cost) = (CancellationToken::new(), Arc::new(Cost::default()));
        let (told, read) = tokio::sync::oneshot::channel();
        let response = Response::from(axum::http::Response::new(body));
        let mut from = Blocking::new(Handle::current(), stop.clone(), response, cost);
        let reading = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 8];
            from.read_exact(&mut buffer[..4]).unwrap();
            let _ = told.send(buffer);
            from.read_exact(&mut buffer)
        });
        assert_eq!(read.await.unwrap()[..4], *b"some", "what is empty is no end");
        stop.cancel();
        let ended = tokio::time::timeout(SILENCE, reading).await.expect("it goes on").unwrap().unwrap_err();
        assert!(crate::delta::flow::is_stop(&ended));
    }
}
