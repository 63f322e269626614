//! `Command::Interfaces`: what a push can leave by.

use crate::control::{CommandError, CommandErrorKind, Reply};
use crate::push::interfaces;

/// Lists them.
pub(super) async fn list() -> Result<Reply, CommandError> {
    let failed = |e| CommandError::new(CommandErrorKind::Unavailable, format!("the interfaces cannot be listed: {e}"));
    interfaces::list().await.map(|interfaces| Reply::Interfaces { interfaces }).map_err(failed)
}
