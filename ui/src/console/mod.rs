//! The console: the face of skep.
//!
//! ```text
//!  keys ─▶ keymap ─▶ Action ─▶ reduce(Model) ─▶ Effects ──Command──▶ Control (an engine, or a link to one)
//!  screen ◀─ view(Model, Derived, Theme) ◀──────────────Snapshot──── Control
//! ```
//!
//! | folder | what |
//! |---|---|
//! | [`action`] | one table of everything an operator can do |
//! | [`keymap`] | keys to actions: layers, chords, a user's patch |
//! | [`model`] | what is on screen |
//! | [`reduce`] | the one place where the model changes; pure |
//! | [`mod@derive`] | what frames are made of, computed outside drawing and cached |
//! | [`panes`], [`overlays`], [`widgets`], [`view`] | drawing |
//! | [`theme`], [`glyphs`] | how meanings look |
//! | [`source`] | snapshots as events |
//! | [`targets`] | other nodes to switch to |
//! | [`recording`] | what was shown, on disk, and back on screen |
//! | [`runtime`] | terminal, frames, signals, and carrying out effects |
//! | [`export`] | a frame as text, ANSI or SVG |
//!
//! It knows the engine through `skep_engine::control` and, for recordings, the differences between
//! snapshots (`skep_engine::rpc::delta`); it knows no sockets at all.

pub mod action;
pub mod derive;
pub mod effect;
pub mod event;
pub mod export;
pub mod glyphs;
pub mod keymap;
pub mod model;
pub mod overlays;
pub mod panes;
pub mod recording;
pub mod reduce;
pub mod runtime;
pub mod source;
pub mod targets;
pub mod theme;
pub mod view;
pub mod widgets;

pub use runtime::options::{ConsoleError, ConsoleOptions, Exit};
pub use runtime::picture;
pub use runtime::{Opening, run};
