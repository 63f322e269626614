//! The console on a node that exists on paper only, for a look at it without an engine:
//!
//! `cargo run -p skep --example console` runs it live; with `frame WIDTH HEIGHT [THEME] [KEYS...]`
//! it prints one frame as SVG, after the keys were pressed.
#![allow(clippy::unwrap_used)]

#[path = "../tests/console/fixture.rs"]
mod fixture;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use skep::console::model::{Cost, Model};
use skep::console::theme::{Depth, Theme};
use skep::console::{ConsoleOptions, export};
use skep_engine::control::{
    BoxFuture, Command, CommandError, Connection, Control, Focus, Reply, Snapshot, TransferId, TransferState, View,
};
use tokio::sync::watch;

/// Moves along by itself and does the simplest of what it is told.
struct Paper {
    snapshot: Arc<Mutex<Snapshot>>,
    published: watch::Sender<Arc<Snapshot>>,
    connection: watch::Sender<Connection>,
}

impl Paper {
    fn start() -> Arc<Self> {
        let snapshot = fixture::busy();
        let (published, _) = watch::channel(Arc::new(snapshot.clone()));
        let (connection, _) = watch::channel(Connection::Live);
        let paper = Arc::new(Self { snapshot: Arc::new(Mutex::new(snapshot)), published, connection });
        let moving = Arc::clone(&paper);
        tokio::spawn(async move {
            for step in 0.. {
                tokio::time::sleep(Duration::from_millis(250)).await;
                let mut snapshot = moving.snapshot.lock().unwrap();
                *snapshot = fixture::advance(&snapshot, step);
                moving.published.send_replace(Arc::new(snapshot.clone()));
            }
        });
        paper
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
    model.cost = Cost { fps_x10: 40, bytes_per_s: 3_120, slowdown: 1 };
    if let Some(spec) = args.get(3).and_then(|name| skep::console::theme::builtin(name)) {
        model.theme = Arc::new(Theme::resolve(&spec, Depth::True));
    }
    for keys in args.iter().skip(4) {
        fixture::press(&mut model, keys);
    }
    print!("{}", export::svg::render(&fixture::frame(&model), &model.theme));
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "frame") {
        return frame(&args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(async { skep::console::run(Paper::start(), ConsoleOptions::default()).await });
    runtime.shutdown_background();
    match result {
        Ok(exit) => eprintln!("{exit:?}"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
