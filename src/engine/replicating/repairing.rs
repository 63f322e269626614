//! Makes lost copies again: looks every second at what gossip tells, begins the fetches that are due, and ends those that are
//! not needed any more.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::control::pool::{MAX_MOVES, MoveRow};
use crate::control::{TransferId, TransferState};
use crate::engine::commands::Core;
use crate::engine::resolve::Resolved;
use crate::engine::transfer::Order;
use crate::pool::repair::{RepairSettings, Repairs, Wanting};
use crate::pool::replica::ReplicaState;
use crate::push::paths::PathSpec;
use crate::push::wire::Wire;
use crate::store::FetchRecord;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Nodes that are asked at most whether they have a copy of which they do not tell.
const MAX_ASKED: usize = 64;
/// They answer within this, or count as having none.
const ANSWER: Duration = Duration::from_secs(3);

/// Repairs until `stop`.
pub(in crate::engine) async fn run(core: Weak<Core>, settings: RepairSettings, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut repairs, mut own) = (Repairs::default(), BTreeMap::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let Some(core) = core.upgrade() else { return };
        turn(&core, &mut repairs, &mut own, &settings).await;
    }
}

/// One look. `own`: the transfers that repairs began, by content.
async fn turn(core: &Core, repairs: &mut Repairs, own: &mut BTreeMap<String, TransferId>, settings: &RepairSettings) {
    let pool = core.services.pool.clone();
    let now = pool.now();
    for (content, id) in own.clone() {
        let state = core.handle(id).map(|handle| handle.shared.row().state);
        match state {
            Ok(TransferState::Failed | TransferState::Paused | TransferState::Cancelled) | Err(_) => {
                repairs.on_failed(&content, now);
                own.remove(&content);
            }
            Ok(TransferState::Seeding | TransferState::Done) => {
                repairs.on_done(&content);
                own.remove(&content);
            }
            Ok(_) => {}
        }
    }
    let wanting = pool.wanting(&repairs.running().collect::<Vec<_>>());
    let steps = repairs.tick(&wanting, settings, now);
    for content in steps.stop {
        let Some(id) = own.remove(&content) else { continue };
        // What is whole is one more copy, and no harm.
        if let Ok(handle) = core.handle(id)
            && !handle.shared.record().published
        {
            tracing::info!(target: "pool", transfer = id.0, "a copy is not needed any more: all are there again");
            let _ = handle.send(Order::Cancel).await;
        }
    }
    for content in steps.start {
        let Some(it) = wanting.iter().find(|it| it.content == content) else { continue };
        match begin(core, it, settings).await {
            Ok(Some(id)) => drop(own.insert(content, id)),
            // It is here, or another transfer brings it, if it does; or it is elsewhere, untold. It is looked at again later.
            Ok(None) => repairs.on_failed(&content, now),
            Err(why) => {
                tracing::warn!(target: "pool", "{} is not made again here: {why}", it.name);
                repairs.on_failed(&content, now);
            }
        }
    }
    let row = |it: &Wanting| MoveRow {
        content: it.content.clone(),
        name: it.name.clone(),
        bytes: it.bytes,
        replicas: it.replicas,
        live: it.live,
        from: it.from.iter().map(|(name, _)| name.clone()).collect(),
        transfer: own.get(&it.content).copied(),
        waits_s: repairs.waits(&it.content, settings, now).map(|ms| ms.div_ceil(1_000)),
    };
    pool.set_moves(repairs.made_here(&wanting, settings, now).into_iter().take(MAX_MOVES).map(row).collect());
}

/// How many of those have a copy who have no room to tell of it.
async fn untold(core: &Core, it: &Wanting) -> u32 {
    let asking = it.untold.iter().take(MAX_ASKED).map(async |(_, endpoint)| {
        let spec = PathSpec { endpoint: endpoint.trim_end_matches('/').to_owned(), via: None };
        let headers = core.services.swarm.client.node_headers().clone();
        let wire = Wire::new(&spec, "", headers).ok()?.into_replica();
        let standing = tokio::time::timeout(ANSWER, wire.standing(&it.content, false)).await.ok()?.ok()?;
        (standing.state == ReplicaState::Whole).then_some(())
    });
    join_all(asking).await.into_iter().flatten().count() as u32
}

/// Begins a copy; none: it is not needed now.
async fn begin(core: &Core, it: &Wanting, settings: &RepairSettings) -> Result<Option<TransferId>, String> {
    let id = it.content.parse().map_err(|error| format!("{error}"))?;
    let is_here = core.services.swarm.catalog.get(&id).is_some_and(|held| held.have().is_full());
    if is_here || core.is_coming(&id) || it.live + untold(core, it).await >= it.replicas {
        return Ok(None);
    }
    let peers = core.services.pool.sources(&it.content);
    let fetch = FetchRecord {
        peers: peers.into_iter().map(|(_, endpoint)| endpoint).collect(),
        replicas: it.replicas,
        ..FetchRecord::default()
    };
    let down = settings.budget.map(|budget| (budget / settings.at_once.max(1) as u64).max(1));
    let resolved = Resolved { id, manifest: None, fetch };
    let begun = core.keep(resolved, down).await.map_err(|error| error.to_string())?;
    tracing::info!(
        target: "pool", transfer = begun.0, content = %id.short(),
        "{} is made again here: {} of {} copies are left ({} bytes)", it.name, it.live, it.replicas, it.bytes
    );
    Ok(Some(begun))
}
