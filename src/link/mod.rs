//! System 5: what kind of link an endpoint is on, and what that means for who moves data over it.

pub mod passive;
pub mod sample;
