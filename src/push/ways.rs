//! The paths of a push, asked whether they answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::wire::{Wire, WireError};

/// With two answers there, the others get half as long again, and this: then the push begins. Whoever
/// answers later joins in.
const GRACE: Duration = Duration::from_millis(20);

/// Paths and what their probes found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways {
    /// In the order in which the paths were given. Their connections are warm.
    pub wires: Vec<Arc<Wire>>,
    /// Median round trips, parallel to `wires`; none: no answer. Of a late one: the time waited so far.
    pub latencies: Vec<Option<Duration>>,
    /// Those that have neither answered nor failed yet: they are given work as if they had answered, since
    /// a long round trip is the likeliest reason, and are probed meanwhile.
    pub late: Vec<usize>,
}

impl Ways {
    /// Probes all of them at once; what went wrong with which. Waits no longer for slow ones than two
    /// that answer make worth.
    pub async fn probe(wires: Vec<Arc<Wire>>) -> (Self, Vec<(usize, WireError)>) {
        let begun = Instant::now();
        let mut latencies = vec![None; wires.len()];
        let mut failed = Vec::new();
        let ask = |(path, wire): (usize, &Arc<Wire>)| {
            let wire = wire.clone();
            async move { (path, wire.probe(None).await) }
        };
        let mut asking: FuturesUnordered<_> = wires.iter().enumerate().map(ask).collect();
        let mut until = None;
        loop {
            let enough = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = asking.next() => match answer {
                    None => break,
                    Some((path, Ok(latency))) => latencies[path] = Some(latency),
                    Some((path, Err(error))) => failed.push((path, error)),
                },
                () = enough => break,
            }
            if until.is_none() && latencies.iter().flatten().count() >= 2 {
                until = Some(tokio::time::Instant::now() + begun.elapsed() / 2 + GRACE);
            }
        }
        drop(asking);
        let mut late = Vec::new();
        for path in (0..wires.len()).filter(|path| latencies[*path].is_none()).collect::<Vec<_>>() {
            if !failed.iter().any(|(other, _)| *other == path) {
                latencies[path] = Some(begun.elapsed());
                late.push(path);
            }
        }
        (Self { wires, latencies, late }, failed)
    }

    /// Those that have answered.
    pub fn answering(&self) -> u32 {
        (self.latencies.iter().flatten().count() - self.late.len()) as u32
    }

    /// Only the one that answered best; one that is `off` only if all are.
    pub fn best(mut self, off: impl Fn(usize) -> bool) -> (usize, Self) {
        let key = |n: &usize| (off(*n), self.late.contains(n), self.latencies[*n].unwrap_or(Duration::MAX));
        let best = (0..self.wires.len()).min_by_key(key).unwrap_or(0);
        let late = if self.late.contains(&best) { vec![0] } else { Vec::new() };
        (best, Self { wires: vec![self.wires.swap_remove(best)], latencies: vec![self.latencies[best]], late })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::push::paths::PathSpec;

    async fn wire(answers: bool) -> (Arc<Wire>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spec = PathSpec { endpoint: format!("http://{}", listener.local_addr().unwrap()), via: None };
        let serving = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if !answers {
                    open.push(stream);
                    continue;
                }
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        let _ =
                            stream.write_all(b"HTTP/1.1 200 OK\r\nskep-probe: 1\r\ncontent-length: 0\r\n\r\n").await;
                    }
                });
            }
        });
        (Arc::new(Wire::new(&spec, "", Default::default()).unwrap()), serving)
    }

    #[tokio::test]
    async fn two_that_answer_do_not_wait_for_a_third() {
        let (quick, silent, also) = (wire(true).await, wire(false).await, wire(true).await);
        let (ways, failed) = Ways::probe(vec![quick.0, silent.0, also.0]).await;
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!((ways.answering(), &ways.late[..]), (2, &[1][..]));
        assert!(ways.latencies.iter().all(Option::is_some), "the late one is given work too: {ways:?}");
        let (best, only) = ways.best(|_| false);
        assert!(best != 1 && only.late.is_empty(), "{only:?}");
        [quick.1, silent.1, also.1].iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn one_that_refuses_is_no_path_and_the_only_one_is_waited_for() {
        let (gone, quick) = (wire(true).await, wire(true).await);
        gone.1.abort();
        let _ = gone.1.await;
        let (ways, failed) = Ways::probe(vec![gone.0, quick.0]).await;
        assert_eq!((ways.answering(), failed.len(), failed[0].0), (1, 1, 0));
        assert!(ways.late.is_empty() && ways.latencies[0].is_none());
        assert_eq!(ways.best(|_| false).0, 1);
        quick.1.abort();
    }
}
