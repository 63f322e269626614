//! The engine of skep.
pub mod content;
