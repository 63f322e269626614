//! A transfer that is complete serves others until it is told to stop or a goal is met.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::strategy::{Job, JobEnd};
use crate::content::name::printable;
use crate::control::{Bits, TransferDetail, TransferState};
use crate::swarm::{Announcers, Flow, Held, SeedGoal, UploadRow, files_shown};

/// How often figures are refreshed while bytes move or somebody looks.
const TICK: Duration = Duration::from_millis(500);
/// How often it is looked whether peers are still around while nothing else happens.
const ROLL_CALL: Duration = Duration::from_secs(30);

/// Serves `held` (it is in the catalog already) until stop or goal.
pub(super) async fn seed(job: &Job, held: &Arc<Held>, announcers: &Announcers, goal: SeedGoal) -> JobEnd {
    let started = Instant::now();
    let mut flow = Flow::new(started);
    let before = job.shared.row();
    let first_up = held.uploaded();
    let mut counted = first_up;
    let mut wanted = job.shared.wanted.subscribe();
    let mut generation = before.bytes_up;
    job.shared.update(|row| {
        row.state = TransferState::Seeding;
        row.reason.clear();
        row.eta_s = None;
        (row.rate_down, row.smooth_down) = (0, 0);
    });
    loop {
        let now = Instant::now();
        let uploaded = held.uploaded();
        flow.add(uploaded - counted, now);
        counted = uploaded;
        let (rate, smooth) = (flow.now(now), flow.smooth(now));
        // Before the peers are counted: who leaves meanwhile wakes us at once.
        let mut peer_left = pin!(held.peers_changed());
        peer_left.as_mut().enable();
        let peers = held.upload_rows();
        let around = peers.iter().filter(|peer| peer.around).count() as u32;
        let trouble = held.trouble();
        job.shared.update(|row| {
            row.rate_up = rate;
            row.smooth_up = smooth;
            row.bytes_up = before.bytes_up + uploaded - first_up;
            row.wire_bytes = before.wire_bytes + uploaded - first_up;
            // Whom it fetched from is nothing to a seeder: these are the peers that came to it.
            (row.peers, row.peers_known, row.seeds) = (around, peers.len() as u32, 0);
            row.reason = trouble.as_deref().map(printable).unwrap_or_default();
        });
        let looked_at = *wanted.borrow_and_update();
        if looked_at {
            generation += 1;
            let detail = detail(job, held, announcers, generation);
            job.shared.show(Some(detail));
        }
        let verdict = goal.judge(uploaded - first_up, held.layout().size(), started.elapsed());
        if verdict.stops() {
            job.shared.update(|row| row.reason = verdict.to_string());
            return JobEnd::Complete;
        }
        // With nothing moving and nobody looking, the node sleeps.
        let left = goal.duration.map_or(Duration::MAX, |wanted| wanted.saturating_sub(started.elapsed()));
        let pause = match (rate > 0 || looked_at, around > 0) {
            (true, _) => TICK.min(left),
            (_, true) => ROLL_CALL.min(left),
            _ => left,
        };
        tokio::select! {
            () = job.stop.cancelled() => return JobEnd::Stopped,
            () = tokio::time::sleep(pause.min(Duration::from_secs(86_400))) => {}
            _ = wanted.changed() => {}
            () = peer_left.as_mut() => {}
            () = held.uploaded_more(uploaded), if rate == 0 && !looked_at => {}
            () = held.new_trouble(trouble.as_ref()) => {}
        }
    }
}

fn detail(job: &Job, held: &Held, announcers: &Announcers, generation: u64) -> TransferDetail {
    let peers = held.upload_rows();
    TransferDetail {
        id: job.shared.id,
        generation,
        piece_length: held.manifest().piece_length,
        have: Bits(held.have()),
        in_flight: Vec::new(),
        failed: Vec::new(),
        availability: Arc::default(),
        peers: peers.iter().map(UploadRow::to_peer_row).collect(),
        trackers: announcers.rows(),
        files: Arc::new(files_shown(held.manifest())),
        delta: None,
    }
}
