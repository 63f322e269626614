//! What the operator can do about something that others push here.

use std::sync::Arc;

use crate::control::{CommandError, CommandErrorKind, TransferId};
use crate::engine::commands::Core;
use crate::upload::{Patching, Standing, Upload, UploadError};

fn conflict(message: String) -> CommandError {
    CommandError::new(CommandErrorKind::Conflict, message)
}

fn refused(id: TransferId, error: &UploadError) -> CommandError {
    let kind = match error {
        UploadError::Unknown => CommandErrorKind::NotFound,
        UploadError::Conflict { .. } => CommandErrorKind::Conflict,
        _ => CommandErrorKind::Internal,
    };
    CommandError::new(kind, format!("transfer {id}: {error}"))
}

/// Something that others push here.
pub(in crate::engine) enum Received {
    Upload(Arc<Upload>),
    Patching(Arc<Patching>),
}

impl Received {
    fn standing(&self) -> Option<Standing> {
        match self {
            Self::Upload(upload) => upload.look().map(|look| look.standing),
            Self::Patching(patching) => Some(patching.look().look.standing),
        }
    }
}

impl Core {
    /// What is received under this number.
    pub(in crate::engine) fn received(&self, id: TransferId) -> Option<Received> {
        // Most commands are about transfers of this node's own.
        if self.lock().contains_key(&id) {
            return None;
        }
        let uploads = &self.services.uploads;
        let patching = uploads.patching(id).map(Received::Patching);
        patching.or_else(|| uploads.numbered(id).map(Received::Upload))
    }

    /// Refuses a command that nothing of what others push here can follow.
    pub(in crate::engine) fn refuse_received(&self, ids: &[TransferId], why: &str) -> Result<(), CommandError> {
        match ids.iter().find(|id| self.received(**id).is_some()) {
            Some(id) => Err(conflict(format!("transfer {id} is received: {why}"))),
            None => Ok(()),
        }
    }

    /// Stops it and drops what is here of it.
    pub(in crate::engine) async fn cancel_received(
        &self,
        id: TransferId,
        received: &Received,
    ) -> Result<(), CommandError> {
        match received.standing() {
            Some(Standing::Done) => Err(conflict(format!(
                "transfer {id} is complete: there is nothing to cancel; `skep remove {id}` takes it off the list"
            ))),
            Some(Standing::Cancelled) => Err(conflict(format!("transfer {id} is cancelled already"))),
            _ => match received {
                Received::Patching(patching) => {
                    patching.cancel();
                    Ok(())
                }
                Received::Upload(upload) => {
                    self.services.uploads.cancel(upload.id()).await.map_err(|error| refused(id, &error))
                }
            },
        }
    }

    /// Takes the row of one that is over off the list.
    pub(in crate::engine) async fn remove_received(
        &self,
        id: TransferId,
        received: &Received,
        data: bool,
    ) -> Result<(), CommandError> {
        let over = matches!(received.standing(), Some(Standing::Done | Standing::Cancelled) | None);
        if !over {
            return Err(conflict(format!("transfer {id} is being received: cancel it first (skep cancel {id})")));
        }
        if data {
            return Err(conflict(format!(
                "transfer {id} was received: what it published is not deleted from here; remove it without --data, \
                 and delete the file yourself"
            )));
        }
        match received {
            Received::Patching(_) => {
                self.services.uploads.forget_patching(id);
                Ok(())
            }
            Received::Upload(upload) => {
                self.services.uploads.remove(upload.id()).await.map_err(|error| refused(id, &error))
            }
        }
    }
}
