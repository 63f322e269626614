//! System 1: swarm transfer. Many nodes hold parts of a content; everybody fetches from all, and gives
//! what it has as soon as it has it.
//!
//! This folder's deciders are pure: time and randomness are handed in, no socket is opened, and every
//! decision can say why it was made.
//!
//! ```text
//!   trackers ◀── announcer ── endpoint, bitmap, event          other nodes ask us
//!      │                                                              │
//!      ▼ peers                                                        ▼
//!   ┌─ leech (one per download) ────────────────┐            ┌─ choker ────────┐
//!   │ peers    who is ready, who is best        │            │ serve, or       │
//!   │ picker   which piece: rarest first        │            │ "choked, retry  │
//!   │ window   how many requests, how long      │            │  after"         │
//!   └──────┬───────────────▲────────────────────┘            └───────▲─────────┘
//!          │ Request       │ first byte, bytes, piece, failure       │ bytes both ways
//!          ▼               │                                         │
//!       driver: HTTP, hashing while bytes stream in, writing ────────┘
//! ```
//!
//! Who calls whom: a driver owns one [`leech::Leech`] and one [`announcer::Announcer`] per tracker; the
//! leech owns a [`picker::Picker`], the peer book and every peer's [`window::Window`]. The node asks the
//! [`choker::Choker`] before it serves a piece, and the [`tracker::TrackerTable`] answers announces.
//! [`bans::BanList`] and [`goal::SeedGoal`] belong to the engine. Nothing in here calls a driver.
//!
//! How data flows: `next_request` names pieces and a peer; the driver fetches them in one HTTP request,
//! compares each piece with its digest while it streams in, writes it, and reports `on_piece` (or
//! bans the peer, for every download). What is verified is durable first, then told to others.
//!
//! What this node has stands in the [`Catalog`], one [`Held`] per content: the download marks pieces as
//! they come, the node's server reads, and peers that watch are told what is new.
//!
//! Invariants:
//! - A piece is wanted, asked for (of one peer, or of two in the endgame), or there. It never gets lost.
//! - Only verified pieces are ever there.
//! - A failing or choking peer rests, longer each time; nobody is hammered.
//! - Whatever peers, trackers or announces claim, memory stays within fixed bounds.

pub mod announce;
pub mod announcer;
mod announcing;
pub mod bans;
mod catalog;
pub mod choker;
mod client;
mod download;
mod fetch;
mod flow;
pub mod goal;
pub mod held;
pub mod here;
pub mod leech;
mod manifests;
pub mod peer_set;
pub mod peers;
mod peers_io;
pub mod picker;
pub mod rate;
mod services;
pub mod thrift;
pub mod tracker;
pub mod window;

pub use announcing::Announcers;
pub use catalog::Catalog;
pub use choker::ChokerConfig;
pub use client::{Client, ClientError, data_key};
pub(crate) use client::{base_client, cause_of};
pub(crate) use download::files_shown;
pub use download::{Download, DownloadEnd, DownloadError, DownloadReport, PeerUse, Reporter};
pub use flow::Flow;
pub use goal::SeedGoal;
pub use held::{Admission, Changes, Held, UploadRow, Watch};
pub use leech::LeechConfig;
pub use manifests::fetch_manifest;
pub use services::{Bans, Swarm};
pub use window::InFlight;
