//! What a link's state does to transfers over it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::push::pack::{Packer, Wish};

/// What compresses the segments of a push. `asked`: the operator's word.
pub(super) fn packer(asked: Option<bool>) -> Arc<Packer> {
    // A channel whose other end is gone keeps its last word.
    let (_, most) = watch::channel((asked == Some(true)).then_some(Wish::ASKED));
    Arc::new(Packer::new(most))
}
