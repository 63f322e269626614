//! What panes are drawn with. All text goes through [`Canvas`], and so through the one choke point
//! in [`text`]; no pane writes to a buffer itself.

pub mod bar;
pub mod canvas;
pub mod chart;
pub mod clock;
pub mod format;
pub mod frame;
pub mod plot;
pub mod table;
pub mod text;

pub use canvas::{Align, Canvas};
