//! Swarm.
pub mod announce;
mod catalog;
pub mod choker;
pub mod held;
pub mod leech;
pub mod peer_set;
pub mod peers;
pub mod picker;
pub mod rate;
pub mod tracker;
pub mod window;

pub use catalog::Catalog;
pub use held::{Admission, Changes, Held, UploadRow, Watch};
