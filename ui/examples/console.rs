//! The console on a node that exists on paper only, for a look at it without an engine:
//!
//! `cargo run -p skep --example console` runs it live, with `idle`, `live` or `stress` on a node of that
//! load (see `scripts/measure-console`); with `frame WIDTH HEIGHT [THEME] [KEYS...]` it prints one frame
//! as SVG, after the keys were pressed; with `cost` it says what frames cost, without a terminal.
#![allow(clippy::unwrap_used)]

#[path = "../tests/console/fixture.rs"]
mod fixture;
#[path = "../tests/console/workload.rs"]
mod workload;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use skep::console::model::{Cost, Model};
use skep::console::theme::{Depth, Theme};
use skep::console::{ConsoleOptions, Opening, export};
use skep_engine::control::{
    BoxFuture, Command, CommandError, Connection, Control, Focus, Reply, Snapshot, TransferId, TransferState, View,
};
use tokio::sync::watch;
use workload::{Load, Simulation};

/// Snapshots made in advance, so that making them is no part of what is measured.
const AHEAD: usize = 60;

/// Moves along by itself and does the simplest of what it is told.
struct Paper {
    snapshot: Arc<Mutex<Snapshot>>,
    published: watch::Sender<Arc<Snapshot>>,
    connection: watch::Sender<Connection>,
}

impl Paper {
    fn start(load: Option<Load>) -> Arc<Self> {
        let snapshot = load.map_or_else(fixture::busy, Load::start);
        let (published, _) = watch::channel(Arc::new(snapshot.clone()));
        let (connection, _) = watch::channel(Connection::Live);
        let paper = Arc::new(Self { snapshot: Arc::new(Mutex::new(snapshot)), published, connection });
        let moving = Arc::clone(&paper);
        match load {
            None => {
                tokio::spawn(async move {
                    for step in 0.. {
                        tokio::time::sleep(Duration::from_millis(250)).await;
                        let mut snapshot = moving.snapshot.lock().unwrap();
                        *snapshot = fixture::advance(&snapshot, step);
                        moving.published.send_replace(Arc::new(snapshot.clone()));
                    }
                });
            }
            // Nothing moves.
            Some(Load::Idle) => {}
            Some(load) => {
                std::thread::spawn(move || moving.play(load));
            }
        }
        paper
    }

    /// Publishes snapshots made in advance, there and back, so that every step is a small one.
    fn play(&self, load: Load) {
        let mut made = vec![load.start()];
        while made.len() < AHEAD {
            let next = load.next(&made[made.len() - 1], made.len() as u64);
            made.extend(next);
        }
        let mut log = made[0].log.clone();
        let there_and_back = (0..AHEAD).chain((1..AHEAD - 1).rev()).cycle();
        for (tick, at) in there_and_back.enumerate() {
            std::thread::sleep(Duration::from_millis(250));
            let mut snapshot = made[at].clone();
            snapshot.generation = tick as u64 + 2;
            snapshot.time_ms = fixture::WALL_MS + tick as u64 * 250;
            snapshot.log = log;
            load.talk(&mut snapshot, tick as u64);
            log = snapshot.log.clone();
            self.published.send_replace(Arc::new(snapshot));
        }
    }

    fn set(&self, ids: &[TransferId], state: TransferState) {
        let mut snapshot = self.snapshot.lock().unwrap();
        for row in snapshot.transfers.iter_mut().filter(|r| ids.contains(&r.id)) {
            Arc::make_mut(row).state = state;
        }
    }
}

impl Control for Paper {
    fn command(&self, command: Command) -> BoxFuture<'_, Result<Reply, CommandError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(700)).await;
            match command {
                Command::Pause { ids } => self.set(&ids, TransferState::Paused),
                Command::Resume { ids } => self.set(&ids, TransferState::Running),
                Command::Cancel { ids } => self.set(&ids, TransferState::Cancelled),
                Command::Remove { ids, .. } => {
                    self.snapshot.lock().unwrap().transfers.retain(|t| !ids.contains(&t.id));
                }
                _ => {}
            }
            Ok(Reply::Done)
        })
    }

    fn view(&self, focus: Focus) -> View {
        View {
            snapshots: self.published.subscribe(),
            focus: watch::channel(focus).0,
            connection: self.connection.subscribe(),
        }
    }

    fn target(&self) -> String {
        "embedded".to_owned()
    }

    fn is_embedded(&self) -> bool {
        true
    }
}

fn frame(args: &[String]) {
    let size = |at: usize, default: u16| args.get(at).and_then(|a| a.parse().ok()).unwrap_or(default);
    let mut model: Model = fixture::console(size(1, 120), size(2, 40), fixture::busy());
    for n in 1..60 {
        let snapshot = fixture::advance(&model.snapshot.clone(), n * 3);
        let node = Arc::new(skep_engine::control::NodeRow {
            rate_down: 150_000_000 + (n * n * 7_919 * 1_000) % 60_000_000,
            rate_up: 54_000_000 - (n * 104_729 * 100) % 30_000_000,
            ..(*snapshot.node).clone()
        });
        let snapshot = Snapshot {
            node,
            time_ms: snapshot.time_ms + n * 1_000,
            transfers: model.snapshot.transfers.clone(),
            ..snapshot
        };
        let event = skep::console::event::Event::Snapshot(Arc::new(snapshot));
        skep::console::reduce::reduce(&mut model, event, fixture::at(n * 250));
    }
    model.cost = Cost { fps_x10: 40, bytes_per_s: 3_120, cpu_permille: 2, slowdown: 1 };
    if let Some(spec) = args.get(3).and_then(|name| skep::console::theme::builtin(name)) {
        model.theme = Arc::new(Theme::resolve(&spec, Depth::True));
    }
    for keys in args.iter().skip(4) {
        fixture::press(&mut model, keys);
    }
    print!("{}", export::svg::render(&fixture::frame(&model), &model.theme));
}

/// A minute of each load in simulated time: bytes, draws, CPU times.
fn cost() {
    for load in Load::ALL {
        let mut run = Simulation::new(120, 40, load);
        run.run(5_000, |_| {});
        run.reset();
        run.run(60_000, |_| {});
        let (p50, p99) = (run.percentile(0.5), run.percentile(0.99));
        let cpu: Duration = run.times.iter().sum();
        let (rate, draws) = (run.bytes / 60, run.draws);
        let mut keys: Vec<Duration> = (0..200).map(|n| run.press(["j", "k"][n % 2], |_| {})).collect();
        keys.sort();
        let (name, share, key) = (load.name(), cpu.as_secs_f64() / 0.6, keys[keys.len() * 99 / 100]);
        println!(
            "{name}: {rate} B/s, {draws} draws, frame p50 {p50:?} p99 {p99:?}, {share:.3} % of a core, key p99 {key:?}"
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "cost") {
        return cost();
    }
    let load = args.first().and_then(|name| Load::ALL.into_iter().find(|load| load.name() == name));
    if args.first().is_some_and(|a| a == "frame") {
        return frame(&args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime
        .block_on(async { skep::console::run(Opening::node(Paper::start(load)), ConsoleOptions::default()).await });
    runtime.shutdown_background();
    match result {
        Ok(exit) => eprintln!("{exit:?}"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
