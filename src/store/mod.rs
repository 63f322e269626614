//! What outlives the process: the state database, the confined folder that content lands in, and
//! the note that tells other processes which node runs here.
//!
//! Durable order (design rule 5): data is written, then synced in batches ([`ContentFiles::sync`]),
//! then recorded ([`State`]). So a record never claims what the disk does not hold, whatever
//! moment the power fails at. A name appears by rename, after every piece has been verified.

mod behind;
pub(crate) mod beneath;
mod beside;
mod delete;
mod documents;
mod error;
mod files;
mod folders;
mod handles;
pub mod instance;
mod landing;
mod outbox;
mod publish;
mod record;
mod region;
mod stamps;
mod state;
#[cfg(test)]
mod tests;
mod touched;
mod uploads;
mod write;

pub use beside::{Beside, Found, Version};
pub use error::{FilesError, FilesErrorKind};
pub use files::{Base, ContentFiles, Place, partial_name};
pub use landing::{Identity, Replace, numbered};
pub use outbox::OutboxRows;
pub use record::{Chosen, ChosenLimits, FetchRecord, JobRecord, Phase, PushRecord, SendRecord, TransferRecord};
pub use region::Region;
pub use state::{LinkRecord, PoolNodeRecord, PoolRecord, State, StateError};
