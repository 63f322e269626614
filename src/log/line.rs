//! Reads events and spans: what they say, and about which transfer.

use std::fmt::{self, Debug, Write};

use tracing::Event;
use tracing::field::{Field, Visit};

use crate::content::name::printable;

/// Longest message that is kept, in bytes.
pub(super) const MAX_MESSAGE: usize = 1_024;

/// What a span tells about the lines inside it.
#[derive(Debug, Default)]
pub(super) struct SpanFields {
    /// Of which engine.
    pub(super) ring: Option<u64>,
    /// About which transfer.
    pub(super) transfer: Option<u64>,
}

impl SpanFields {
    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_none() && self.transfer.is_none()
    }
}

/// Reads a span's fields; a ring's id only where it is one's own span.
pub(super) fn read_span(record: impl FnOnce(&mut dyn Visit), is_node: bool) -> SpanFields {
    let mut reader = SpanReader { fields: SpanFields::default(), is_node };
    record(&mut reader);
    reader.fields
}

/// The text of an event (its message, then its fields) and the transfer it names.
pub(super) fn read_event(event: &Event<'_>) -> (String, Option<u64>) {
    let mut reader = EventReader::default();
    event.record(&mut reader);
    let mut text = reader.message.text;
    if !reader.fields.text.is_empty() {
        let gap = if text.is_empty() { "" } else { " " };
        text = text + gap + &reader.fields.text;
    }
    text.truncate(text.floor_char_boundary(MAX_MESSAGE));
    if reader.message.cut || reader.fields.cut {
        text.push('…');
    }
    (printable(&text), reader.transfer)
}

struct SpanReader {
    fields: SpanFields,
    is_node: bool,
}

impl Visit for SpanReader {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "transfer" => self.fields.transfer = Some(value),
            "ring" if self.is_node => self.fields.ring = Some(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "transfer" {
            self.fields.transfer = number(value);
        }
    }
}

#[derive(Default)]
struct EventReader {
    message: Short,
    fields: Short,
    transfer: Option<u64>,
}

impl Visit for EventReader {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "transfer" {
            self.transfer = Some(value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // Without quotes: it is for people.
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // The error of a writer that is full: the text is cut, which it remembers itself.
        let _ = match field.name() {
            "transfer" => {
                self.transfer = number(value);
                Ok(())
            }
            "message" => write!(self.message, "{value:?}"),
            name => {
                let gap = if self.fields.text.is_empty() { "" } else { " " };
                write!(self.fields, "{gap}{name}={value:?}")
            }
        };
    }
}

/// A number that was given as something to show (`transfer = %id`).
fn number(value: &dyn Debug) -> Option<u64> {
    let mut text = Short::default();
    write!(text, "{value:?}").ok()?;
    text.text.trim_start_matches('#').parse().ok()
}

/// Text that stops growing at [`MAX_MESSAGE`], so that formatting something endless ends.
#[derive(Default)]
struct Short {
    text: String,
    cut: bool,
}

impl Write for Short {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = MAX_MESSAGE - self.text.len().min(MAX_MESSAGE);
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        self.text.push_str(&more[..more.floor_char_boundary(room)]);
        self.cut = true;
        Err(fmt::Error)
    }
}
