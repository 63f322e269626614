//! What the link has the segments of a push be like, as it is now. Asked again and again while they go: what follows from a
//! link that changed counts for the next segment.

use std::fmt;
use std::sync::Arc;

use super::pack::Wish;

/// What the link wants; where it is unknown, nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fit {
    /// How segments are compressed; none: not at all.
    pub pack: Option<Wish>,
    /// Bytes under way at most, beside what memory allows.
    pub under_way: Option<u64>,
    /// Bytes per second that it carries, if that was measured.
    pub rate: Option<u64>,
}

/// Tells what the link wants. Must not block: every segment asks.
#[derive(Clone)]
pub(crate) struct Guide(Arc<dyn Fn() -> Fit + Send + Sync>);

impl Guide {
    /// One that asks `tell`.
    pub(crate) fn new(tell: impl Fn() -> Fit + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// What it wants now.
    pub(crate) fn fit(&self) -> Fit {
        (self.0)()
    }
}

impl fmt::Debug for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guide").field(&self.fit()).finish()
    }
}
