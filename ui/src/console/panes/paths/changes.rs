//! Below the paths: the sum behind the selected one's score, and what the scheduler did lately and why.
//!
//! ```text
//!  eth0: +0.50 throughput, -0.03 latency, -0.00 errors = +0.47; 120 of 412 segments
//!   12s  wwan is dead: it failed three times in a row; 14 segments to eth0, wlan0
//!   41s  wlan0 fell below half of the best score; 20 segments to eth0
//! ```

use std::fmt;

use ratatui::layout::Rect;
use skep_engine::control::{PathChange, PathRow, TransferRow};

use super::rows;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Count, Seconds};

/// Columns of an age.
const AGE: u16 = 6;

/// Draws it into what the rows leave.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, row: &TransferRow, short: &[&str], context: Context<'_>) {
    let (x, width) = (area.x + 2, area.width.saturating_sub(3));
    let mut y = area.y;
    let selected = context.model.paths.place(&row.paths).and_then(|at| Some((row.paths.get(at)?, *short.get(at)?)));
    // With one line only, the last change is worth more; an error is worth more than both.
    if let Some((path, name)) = selected
        && (area.height >= 2 || (area.height == 1 && !path.note.is_empty()))
    {
        about(canvas, (x, y, width), row, path, name);
        y += 1;
    }
    // A blank line keeps them apart, where nothing else needs it.
    if usize::from(area.bottom().saturating_sub(y)) > row.path_changes.len() {
        y += 1;
    }
    let now = context.model.node_now();
    for change in &row.path_changes {
        if y >= area.bottom() {
            return;
        }
        let age = Seconds(now.saturating_sub(change.at_ms) / 1_000);
        canvas.right(x, y, AGE, format_args!("{age}"), Token::Muted);
        let told = Told(change, short);
        canvas.left(x + AGE + 2, y, width.saturating_sub(AGE + 2), format_args!("{told}"), Token::Text);
        y += 1;
    }
}

/// Why the selected path is worth what it is, or what is wrong with it.
fn about(canvas: &mut Canvas<'_>, (x, y, width): (u16, u16, u16), row: &TransferRow, path: &PathRow, name: &str) {
    let used = canvas.left(x, y, width, format_args!("{name}: "), Token::Muted);
    let (x, width) = (x + used, width.saturating_sub(used));
    if !path.note.is_empty() {
        canvas.text(x, y, width, &path.note, Token::Warn);
        return;
    }
    let [t, l, e] = rows::weighted(path);
    let (score, done, all) = (path.score, Count(path.done.into()), Count(row.pieces.into()));
    let sum = format_args!(
        "{t:+.2} throughput {l:+.2} latency {e:+.2} errors = {score:+.2}; {done} of {all} segments went over it"
    );
    canvas.left(x, y, width, sum, Token::Muted);
}

/// A change in words.
struct Told<'a>(&'a PathChange, &'a [&'a str]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(change, names) = self;
        let name = |at: &u32| names.get(*at as usize).copied();
        if let Some(name) = change.path.as_ref().and_then(name) {
            write!(f, "{name} ")?;
        }
        f.write_str(&change.why)?;
        if change.moved == 0 {
            return Ok(());
        }
        let s = if change.moved == 1 { "" } else { "s" };
        write!(f, "; {} segment{s}", Count(change.moved.into()))?;
        let mut list = |word: &str, places: &[u32]| {
            let mut before = word;
            for name in places.iter().filter_map(name) {
                write!(f, "{before}{name}")?;
                before = ", ";
            }
            Ok(())
        };
        // Whose they were is said already where the change is about that path alone.
        if change.from.as_slice() != change.path.as_slice() {
            list(" from ", &change.from)?;
        }
        list(" to ", &change.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reads_as_a_sentence() {
        let change = |path, why: &str, moved, from: &[u32], to: &[u32]| PathChange {
            path,
            why: why.into(),
            moved,
            from: from.to_vec(),
            to: to.to_vec(),
            ..PathChange::default()
        };
        let names = ["fibre", "cell", "sky"];
        for (change, told) in [
            (
                change(Some(1), "fell below half of the best score", 14, &[1], &[2]),
                "cell fell below half of the best score; 14 segments to sky",
            ),
            (change(Some(0), "was disabled", 1, &[0], &[1, 2]), "fibre was disabled; 1 segment to cell, sky"),
            (
                change(None, "the shares are dealt anew", 1_200, &[0, 1], &[2]),
                "the shares are dealt anew; 1,200 segments from fibre, cell to sky",
            ),
            (change(Some(2), "answers again", 9, &[0], &[2]), "sky answers again; 9 segments from fibre to sky"),
            (change(Some(2), "has the weight 2", 0, &[], &[]), "sky has the weight 2"),
            (change(Some(9), "is unknown here", 1, &[8], &[7]), "is unknown here; 1 segment"),
        ] {
            assert_eq!(Told(&change, &names).to_string(), told);
        }
    }
}
