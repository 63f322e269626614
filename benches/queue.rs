//! What the queue's decisions cost with 10,000 operations in it.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::Bencher;
use skep_engine::control::queue::{Operation, QueueId, QueueMove};
use skep_engine::control::{PriorityClass, SendRequest};
use skep_engine::queue::book::{Book, Wanted};
use skep_engine::queue::outbox::{Found, Outbox};
use skep_engine::queue::priority::{Limits, New, Queue, Standing};
use skep_engine::store::State;

const COUNT: u64 = 10_000;

fn main() {
    divan::main();
}

fn new(id: u64, targets: &[Arc<str>]) -> New<u64> {
    // Spread over classes and endpoints in no order that helps.
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let class = PriorityClass::ALL[(mixed >> 40) as usize % 6];
    New { id: QueueId(id), class, target: targets[(mixed >> 50) as usize % targets.len()].clone(), bytes: 1, what: id }
}

fn filled() -> (Queue<u64>, Vec<Arc<str>>) {
    let targets: Vec<Arc<str>> = (0..8).map(|n| format!("http://10.0.0.{n}:7070").into()).collect();
    let mut queue = Queue::new(Limits { capacity: COUNT as usize + 1, ..Limits::default() });
    for id in 0..COUNT {
        queue.push(new(id, &targets), 1_000_000 + id);
    }
    (queue, targets)
}

/// One comes, the next of an endpoint starts and is done.
#[divan::bench]
fn push_next_remove(bencher: Bencher<'_, '_>) {
    let (mut queue, targets) = filled();
    let mut id = COUNT;
    bencher.bench_local(|| {
        id += 1;
        let one = new(id, &targets);
        let target = one.target.clone();
        queue.push(one, 1_000_000 + id);
        if let Some(next) = queue.next(&target, 1, PriorityClass::Background, 1_000_000 + id, |_, _| true) {
            queue.set_standing(next, Standing::Running);
            queue.remove(next);
        }
    });
}

#[divan::bench]
fn push(bencher: Bencher<'_, '_>) {
    let (mut queue, targets) = filled();
    let mut id = COUNT;
    bencher.with_inputs(|| ()).bench_local_values(|()| {
        id += 1;
        // Full from the second one on: the last of the lowest class goes, or this one.
        divan::black_box(queue.push(new(id, &targets), 1_000_000 + id));
    });
}

#[divan::bench]
fn peek(bencher: Bencher<'_, '_>) {
    let (queue, _) = filled();
    bencher.bench_local(|| divan::black_box(queue.peek().map(|(id, _)| id)));
}

#[divan::bench]
fn next(bencher: Bencher<'_, '_>) {
    let (mut queue, targets) = filled();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % targets.len();
        divan::black_box(queue.next(&targets[at], 1, PriorityClass::Background, 2_000_000, |_, _| true))
    });
}

#[divan::bench]
fn set_class(bencher: Bencher<'_, '_>) {
    let (mut queue, _) = filled();
    let (mut id, mut round) = (0, 0);
    bencher.bench_local(|| {
        id = (id + 7_919) % COUNT;
        // Another one every time it comes by.
        round += u64::from(id == 0);
        queue.set_class(QueueId(id), PriorityClass::ALL[((id + round) % 6) as usize])
    });
}

#[divan::bench]
fn move_up(bencher: Bencher<'_, '_>) {
    let (mut queue, _) = filled();
    let mut id = 0;
    bencher.bench_local(|| {
        id = (id + 7_919) % COUNT;
        divan::black_box(queue.move_to(QueueId(id), QueueMove::Up))
    });
}

/// What a round leaves: all of it has to be on the disk.
struct Enqueued {
    outbox: Outbox,
    count: u64,
    _dir: tempfile::TempDir,
}

impl Drop for Enqueued {
    fn drop(&mut self) {
        assert_eq!(self.outbox.open().expect("it is there").entries.len() as u64, self.count);
    }
}

/// 100,000 operations taken and on the disk, a thousand in a transaction.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn durable_100_000(bencher: Bencher<'_, '_>) {
    const ALL: u64 = 100_000;
    let fresh = || {
        let dir = tempfile::tempdir_in(".").expect("a folder");
        let state = State::open(&dir.path().join("state.redb")).expect("a state");
        let found = Found { entries: BTreeMap::new(), corrupt: 0, next: QueueId(1) };
        let limits = Limits { capacity: ALL as usize, ..Limits::default() };
        (dir, Outbox::new(Arc::new(state)), Book::new(limits, found, true, 1, 1.0))
    };
    bencher.with_inputs(fresh).bench_local_values(|(dir, outbox, mut book)| {
        for n in 0..ALL {
            let (path, dest) = (format!("/data/in/{n}.bin").into(), "http://10.0.0.1:7070/in/".into());
            let operation = Operation::Send(SendRequest { path, dest, ..SendRequest::default() });
            let (target, name) = ("http://10.0.0.1:7070".into(), format!("{n}.bin"));
            let wanted = Wanted { operation, class: None, target, name, bytes: n };
            book.enqueue(wanted, n, n).expect("there is room");
            if (n + 1).is_multiple_of(1_000) {
                outbox.commit(&book.unsaved(), book.next_id()).expect("the disk takes it");
                book.on_saved();
            }
        }
        // Reading it back and deleting it is not enqueueing: what is given back goes away untimed.
        Enqueued { outbox, count: ALL, _dir: dir }
    });
}
