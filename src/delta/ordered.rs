//! Work on all cores whose results come in order.
//!
//! Threads take the next item from a counter, so that none idles; what they make is handed on by the calling thread
//! in the items' order. Nobody runs further ahead of what was handed on than a window, so that memory stays bounded.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, PoisonError};

/// Most threads; more than this is a mistake, not a machine.
const MAX_THREADS: usize = 64;
/// How many items per thread may be made before the oldest of them is handed on.
const AHEAD: usize = 8;

/// What the threads agree on.
struct Turn {
    next: usize,
    handed_on: usize,
    stop: bool,
}

/// Runs `work(state, item)` for items `0..items` on `threads` threads (0: one per core), `state()` being each thread's
/// own, and calls `sink` with the results in order. Blocks until all is done; the first error ends it.
///
/// # Errors
/// The first one of `work`, by order of items, or of `sink`.
pub fn in_order<S, T: Send, E: Send>(
    items: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<T, E> + Sync,
    mut sink: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads }.min(items).clamp(1, MAX_THREADS);
    if threads == 1 {
        let mut own = state();
        return (0..items).try_for_each(|item| work(&mut own, item).and_then(&mut sink));
    }
    let window = threads * AHEAD;
    let turn = Mutex::new(Turn { next: 0, handed_on: 0, stop: false });
    let moved = Condvar::new();
    let lock = || turn.lock().unwrap_or_else(PoisonError::into_inner);
    let (made, makes) = sync_channel(window);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let made = made.clone();
            let (state, work, lock, moved) = (&state, &work, &lock, &moved);
            let run = move || {
                let _panics = OnPanic(|| {
                    lock().stop = true;
                    moved.notify_all();
                });
                give_way();
                let mut own = state();
                loop {
                    let mut turn = lock();
                    while !turn.stop && turn.next < items && turn.next >= turn.handed_on + window {
                        turn = moved.wait(turn).unwrap_or_else(PoisonError::into_inner);
                    }
                    if turn.stop || turn.next >= items {
                        break;
                    }
                    let item = turn.next;
                    turn.next += 1;
                    drop(turn);
                    if made.send((item, work(&mut own, item))).is_err() {
                        break;
                    }
                }
            };
            // A thread that cannot be started is one helper less, see below.
            let _ = std::thread::Builder::new().name("delta".into()).spawn_scoped(scope, run);
        }
        drop(made);
        let mut waiting = BTreeMap::new();
        let mut done = 0;
        let mut own = None;
        let outcome = loop {
            if done == items {
                break Ok(());
            }
            let result = match waiting.remove(&done) {
                Some(result) => result,
                None => match makes.recv() {
                    Ok((item, result)) => {
                        waiting.insert(item, result);
                        continue;
                    }
                    // No thread could be started (or one panicked, which the scope passes on).
                    Err(_) => work(own.get_or_insert_with(&state), done),
                },
            };
            if let Err(error) = result.and_then(&mut sink) {
                break Err(error);
            }
            done += 1;
            lock().handed_on = done;
            moved.notify_all();
        };
        lock().stop = true;
        moved.notify_all();
        // Whoever waits to send finds nobody.
        drop(makes);
        outcome
    })
}

/// How much nicer than others a thread is that works ahead of what is waited for.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Lets other threads go first: for a thread of one's own that works ahead of them. What is waited for at the end is a digest, which is one
/// stream: on few cores those that feed it would keep it from its work.
pub(super) fn give_way() {
    // Of this thread alone (setpriority(2), "C library/kernel differences"); elsewhere it would be of the whole process.
    #[cfg(target_os = "linux")]
    if let Ok(nice) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, nice.saturating_add(NICER).min(19));
    }
}

/// Tells the others, so that nobody waits for an item that will not come.
struct OnPanic<F: Fn()>(F);

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_it() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let work = |calls: &mut usize, item: usize| {
                *calls += 1;
                if item == 700 { Err("no") } else { Ok(item * 2) }
            };
            let mut take = |value| {
                seen.push(value);
                Ok(())
            };
            assert_eq!(in_order(500, threads, || 0, work, &mut take), Ok(()));
            assert_eq!(in_order(1000, threads, || 0, work, &mut take), Err("no"));
            let wanted: Vec<usize> = (0..500).chain(0..700).map(|n| n * 2).collect();
            assert_eq!(seen, wanted);
            assert_eq!(
                in_order(900, threads, || 0, |_, item| Ok(item), |item| if item == 3 { Err("full") } else { Ok(()) }),
                Err("full")
            );
            assert_eq!(in_order(0, threads, || 0, work, |_| Ok(())), Ok(()));
        }
    }
}
