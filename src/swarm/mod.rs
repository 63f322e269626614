//! Swarm transfers.
pub mod announce;
mod catalog;
pub mod choker;
mod held;
pub mod rate;
pub mod tracker;
pub use catalog::Catalog;
pub use held::{Admission, Changes, Held, Slot, UploadRow, Watch};
