//! Asking an endpoint whether it answers.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tracing::Instrument as _;

use super::{Ask, Driver};
use crate::content::name::printable;
use crate::control::queue::Operation;
use crate::engine::commands::Core;
use crate::push::paths::resolve;
use crate::push::wire::Wire;

impl Driver {
    /// Asks; the answer comes as [`Ask::Answered`].
    pub(super) fn question(&self, target: Arc<str>, operation: Operation, name: String) {
        let (core, asks) = (self.core.clone(), self.core.queueing.asks.clone());
        let asking = async move {
            let answer = tokio::select! {
                () = core.shutdown.cancelled() => return,
                answer = core.answers(&operation, &name) => answer,
            };
            let _ = asks.send(Ask::Answered(target, answer)).await;
        };
        self.core.tasks.spawn(asking.instrument(self.core.span.clone()));
    }
}

impl Core {
    /// Whether any way to where an operation goes answers. Who refuses answers too: the transfer is told why.
    async fn answers(&self, operation: &Operation, name: &str) -> Result<(), String> {
        let (dest, more, via) = match operation {
            Operation::Send(send) => (&send.dest, &send.paths[..], &send.via[..]),
            Operation::Sync(sync) => (&sync.dest, &[][..], &[][..]),
        };
        // Of a pool its nodes are asked all the time: it is there where one of them is.
        if let Operation::Send(send) = operation
            && send.pool().is_some()
        {
            return self.services.pool.nobody().map_or(Ok(()), Err);
        }
        let Ok(found) = resolve(dest, more, via, name) else { return Ok(()) };
        let headers = self.services.swarm.client.node_headers();
        let ask = |path| {
            let wire = Wire::new(path, &found.target, headers.clone());
            async move {
                match wire {
                    Ok(wire) => wire.knock().await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        let mut asking: FuturesUnordered<_> = found.paths.iter().map(ask).collect();
        let mut why = String::new();
        while let Some(answer) = asking.next().await {
            match answer {
                Ok(()) => return Ok(()),
                Err(error) => why = printable(&error),
            }
        }
        Err(why)
    }
}
