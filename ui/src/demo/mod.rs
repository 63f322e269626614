//! `skep demo`: a fleet of real nodes on loopback, behind links that are shaped like real ones.

pub mod pipe;
pub mod shaper;
