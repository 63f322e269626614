//! The end of a push: the receiver verifies and publishes, or says what it lacks.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::{Drive, SendEnd};
use crate::content::Digest;
use crate::push::PushError;
use crate::push::wire::{Assembled, WireError};

/// A receiver that says "held" and then "missing" is believed this often.
const LIES: u32 = 3;
/// Nothing said for so long while assembling: another path is asked too.
const SECOND_OPINION: Duration = Duration::from_secs(5);

impl Drive {
    /// The digests of all segments, once each is known.
    pub(crate) fn digests(&self) -> Result<Vec<Digest>, PushError> {
        let digests: Option<Vec<Digest>> = self.digests.iter().copied().collect();
        digests.ok_or_else(|| PushError::Internal("a segment without a digest".into()))
    }

    /// Has the receiver verify and publish; sends again what it turns out to lack. None: stopped.
    ///
    /// # Errors
    /// It refuses, or cannot be reached.
    pub(crate) async fn assemble(&mut self) -> Result<Option<Assembled>, PushError> {
        let assembled = self.assemble_at_last().await;
        let recorded = self.record_all().await;
        let assembled = assembled?;
        recorded?;
        Ok(assembled)
    }

    async fn assemble_at_last(&mut self) -> Result<Option<Assembled>, PushError> {
        let mut lies = 0;
        loop {
            let digests = self.digests()?;
            match self.ask_to_assemble(&digests).await? {
                None => return Ok(None),
                Some(Ok(assembled)) if assembled.is_of(self.common.reader.layout().size(), &digests) => {
                    return Ok(Some(assembled));
                }
                Some(Ok(_)) => return Err(PushError::OtherBytes),
                Some(Err(missing)) => {
                    lies += 1;
                    if lies > LIES || missing.is_empty() {
                        return Err(PushError::Lies);
                    }
                    tracing::warn!(ranges = missing.len(), "the receiver lacks segments that it had: sent again");
                    let count = self.common.reader.layout().piece_count();
                    self.plan.on_missing(missing.into_iter().flat_map(|run| run.start..run.end.min(count)));
                    if self.run().await? == SendEnd::Stopped {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Asks over one path after the other, with pauses, until one answers. A path that says nothing for
    /// long may be gone without a word: the next one is asked too, which the receiver understands.
    #[allow(clippy::type_complexity)] // stopped, or published, or what is missing
    async fn ask_to_assemble(
        &mut self,
        digests: &[Digest],
    ) -> Result<Option<Result<Assembled, Vec<std::ops::Range<u32>>>>, PushError> {
        let order = self.plan.by_nearness(Instant::now());
        let asks = |n: usize| {
            let (wire, upload) = (self.wires[order[n % order.len()]].clone(), &self.common.upload);
            async move {
                let answer = wire.assemble(upload, digests).await;
                (wire, answer)
            }
        };
        let mut asking = FuturesUnordered::new();
        let (mut asked_so_far, mut failures) = (0, 0u32);
        loop {
            if asking.is_empty() {
                asking.push(asks(asked_so_far));
                asked_so_far += 1;
            }
            let answer = tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(SECOND_OPINION), if asking.len() < order.len() => {
                    asking.push(asks(asked_so_far));
                    asked_so_far += 1;
                    continue;
                }
                Some(answer) = asking.next() => answer,
            };
            let (wire, answer) = answer;
            let error = match answer {
                Ok(assembled) => return Ok(Some(Ok(assembled))),
                Err(WireError::Missing(missing)) => return Ok(Some(Err(missing))),
                Err(error @ (WireError::Broken(_) | WireError::Busy(_))) => error,
                Err(WireError::Unknown) if order.len() > 1 => WireError::Unknown,
                Err(error) => return Err(wire.failed(error)),
            };
            failures += 1;
            if !asking.is_empty() {
                continue;
            }
            let asked = if let WireError::Busy(asked) = &error { *asked } else { None };
            let round = failures.div_ceil(order.len() as u32);
            let Some(wait) = self.pace.wait(round, asked, self.rng.f64()) else {
                return Err(wire.failed(error));
            };
            tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
