//! Choosing a piece at 1,000,000 pieces × 1,000 peers: ≤ 1 µs amortised; applying a "have" ≤ 100 ns;
//! everything in 200 MiB. `cargo bench -p skep-engine --bench picker`
#![allow(clippy::unwrap_used, missing_docs)]

use divan::{Bencher, counter::ItemsCount};
use skep_engine::content::Bitmap;
use skep_engine::swarm::peer_set::PeerSet;
use skep_engine::swarm::picker::{Order, Picker};

const PIECES: u32 = 1_000_000;
const PEERS: u16 = 1_000;
const BATCH: usize = 500_000;

fn main() {
    let picker = swarm(0.5);
    println!("memory, bitmaps half full: {} MiB", picker.memory() >> 20);
    let picker = swarm(0.003);
    println!("memory, bitmaps nearly empty: {} MiB", picker.memory() >> 20);
    let picker = swarm(0.011);
    println!("memory, one piece in ninety: {} MiB", picker.memory() >> 20);
    divan::main();
}

/// A picker of peers whose bitmaps are filled at random to `density`.
fn swarm(density: f64) -> Picker {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut picker = Picker::new(&Bitmap::empty(PIECES), Order::RarestFirst, 1);
    let mut pool: Vec<Vec<u8>> = Vec::new();
    for _ in 0..16 {
        pool.push((0..PIECES / 8).map(|_| (0..8).fold(0, |b, _| b << 1 | u8::from(rng.f64() < density))).collect());
    }
    for slot in 0..PEERS {
        // Every peer its own mixture: rotated, one of sixteen.
        let mut bytes = pool[usize::from(slot) % 16].clone();
        let by = rng.usize(..bytes.len());
        bytes.rotate_left(by);
        picker.add_peer(slot);
        picker.set_bitmap(slot, &Bitmap::from_bytes(bytes, PIECES).unwrap());
    }
    picker
}

fn only(slots: impl IntoIterator<Item = u16>) -> PeerSet {
    slots.into_iter().fold(PeerSet::EMPTY, |mut set, slot| {
        set.insert(slot);
        set
    })
}

/// One ready peer per choice, a different one each time, as when requests end one by one.
fn choose_in_turn(bencher: Bencher<'_, '_>, picker: impl Fn() -> Picker, ready: impl Fn(usize) -> PeerSet + Sync) {
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(|| (picker(), fastrand::Rng::with_seed(3))).bench_local_values(
        |(mut picker, mut rng)| {
            for n in 0..BATCH {
                if let Some(piece) = picker.choose(&ready(n), &mut rng) {
                    picker.take(piece);
                }
            }
            picker
        },
    );
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn choose_all_ready(bencher: Bencher<'_, '_>) {
    let all = only(0..PEERS);
    choose_in_turn(bencher, || swarm(0.5), |_| all);
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn choose_one_ready(bencher: Bencher<'_, '_>) {
    choose_in_turn(bencher, || swarm(0.5), |n| PeerSet::only((n * 7 % 1000) as u16));
}

#[divan::bench(sample_count = 3, sample_size = 1, args = [0.003, 0.011, 0.05])]
fn choose_one_ready_of_peers_with_little(bencher: Bencher<'_, '_>, density: f64) {
    choose_in_turn(bencher, || swarm(density), |n| PeerSet::only((n * 7 % 1000) as u16));
}

/// Half of all pieces are at one busy peer only; the ready ones have others.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn choose_past_rare_pieces_at_a_busy_peer(bencher: Bencher<'_, '_>) {
    let picker = || {
        let mut picker = Picker::new(&Bitmap::empty(PIECES), Order::RarestFirst, 1);
        for slot in 0..PEERS {
            picker.add_peer(slot);
            let mut map = Bitmap::empty(PIECES);
            let mine = if slot == 0 { 0..PIECES / 2 } else { PIECES / 2..PIECES };
            mine.for_each(|piece| {
                map.set(piece);
            });
            picker.set_bitmap(slot, &map);
        }
        picker
    };
    choose_in_turn(bencher, picker, |n| PeerSet::only((n * 7 % 999 + 1) as u16));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn have(bencher: Bencher<'_, '_>) {
    let mut rng = fastrand::Rng::with_seed(5);
    let news: Vec<(u16, u32)> = (0..BATCH).map(|_| (rng.u16(..PEERS), rng.u32(..PIECES))).collect();
    bencher.counter(ItemsCount::new(BATCH)).with_inputs(|| swarm(0.5)).bench_local_values(|mut picker| {
        for (slot, piece) in &news {
            picker.on_have(*slot, *piece);
        }
        picker
    });
}

/// What a running download does: a thousand peers tell of 50 new pieces between two choices.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn have_50_then_choose(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(BATCH / 50))
        .with_inputs(|| (swarm(0.1), fastrand::Rng::with_seed(3)))
        .bench_local_values(|(mut picker, mut rng)| {
            for n in 0..BATCH / 50 {
                for _ in 0..50 {
                    picker.on_have(rng.u16(..PEERS), rng.u32(..PIECES));
                }
                if let Some(piece) = picker.choose(&PeerSet::only((n * 7 % 1000) as u16), &mut rng) {
                    picker.take(piece);
                }
            }
            picker
        });
}
