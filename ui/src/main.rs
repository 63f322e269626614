//! skep: a terminal console for people who move large data between machines.

#[allow(dead_code, reason = "its command comes next")]
mod demo;

fn main() {}
