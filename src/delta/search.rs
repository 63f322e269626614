//! The driver of [`Matcher`]: stretches of a file on all cores.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hashes::Hashes;
use super::matcher::{Matcher, Run, Search};
use super::ordered::in_order;
use super::signature::Signature;
use super::table::Table;
use super::window::Window;

/// Searches for a signature's blocks on `threads` threads (0: one per core), results in the searches' order. Blocks.
///
/// # Errors
/// The source cannot be read or became shorter.
pub fn search_all(
    source: &File,
    signature: &Signature,
    hashes: &impl Hashes,
    searches: &[Search],
    threads: usize,
) -> io::Result<Vec<Run>> {
    let never = AtomicBool::new(false);
    search_until(source, &Matcher::new(signature, hashes, &Table::new(signature)), searches, threads, &never)
}

/// As [`search_all`], with an index that is there already, and until `stop` is set.
///
/// # Errors
/// The same; `Interrupted` once `stop` is set.
pub(super) fn search_until<H: Hashes>(
    source: &File,
    matcher: &Matcher<'_, H>,
    searches: &[Search],
    threads: usize,
    stop: &AtomicBool,
) -> io::Result<Vec<Run>> {
    let mut all = Vec::new();
    let window = || Window::new(source, 0);
    let work = |window: &mut Window<'_>, item: usize| {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        matcher.search(&searches[item], window)
    };
    in_order(searches.len(), threads, window, work, |runs| {
        all.extend(runs);
        Ok(())
    })?;
    Ok(all)
}
