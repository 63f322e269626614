//! Links of every quality on loopback: a relay in front of a node that makes the way to it as slow, lossy or
//! fickle as a real link. Real sockets and real bytes, TCP and UDP on the same port number; no privileges, and
//! it runs anywhere.
//!
//! ```text
//!                 ┌──────────────────────── Shaper ────────────────────────┐
//!  program ─TCP─▶ │ Pipe (delay line of a connection)  ─┐                  │ ─▶ target
//!          ─UDP─▶ │ Packets (delay line of a flow)     ─┴─ Line (bottleneck)│ ─▶ target, same port number
//!                 └────────────────────────────────────────────────────────┘
//! ```
//! [`Line`], [`Pipe`] and [`Packets`] decide and know no socket, clock or randomness of their own; [`Shaper`]
//! drives them. What is random follows from the seed: the same bytes in the same pieces meet the same fate.
//!
//! What it is not: TCP ends on both sides of the relay, so that the congestion control of neither sees the link.
//! Rate, delay, jitter and queueing are what a program sees; a lost packet of a connection shows as what it costs,
//! the time until it has been sent again (see [`Pipe`]), not as a sender that slows down. Connections are
//! established at once, also while the link is cut; their first byte takes its time. The system's own figures of a
//! connection are those of loopback. For all this there are network namespaces.

mod course;
mod datagrams;
mod line;
mod link;
mod packets;
mod pipe;
mod profile;
mod shaper;
mod streams;

pub use line::{Line, Outages, Shape};
pub use packets::Packets;
pub use pipe::Pipe;
pub use profile::Profile;
pub use shaper::{Passed, Shaper, Step};
