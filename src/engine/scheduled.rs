//! Puts the schedule's limits in force as time goes by.

use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use tokio_util::sync::CancellationToken;

use super::fetch_job::blocking;
use super::services::Services;
use crate::control::Rate;
use crate::schedule::{Said, Schedule};
use crate::store::Chosen;

/// Looks at the clock every minute, until `stop`.
pub(super) async fn run(schedule: Schedule, services: Arc<Services>, stop: CancellationToken) {
    if schedule.0.is_empty() {
        return;
    }
    let mut before = None;
    loop {
        let now = Zoned::now();
        let day = usize::try_from(now.weekday().to_monday_zero_offset()).unwrap_or(0);
        let minute = now.hour() as u16 * 60 + now.minute() as u16;
        let (node, links) = schedule.at(day, minute);
        for (link, said) in links {
            services.links_limited.set(link, said.up.flatten(), said.down.flatten());
        }
        // What the operator sets in between holds until the schedule says something else.
        if before.replace(node).unwrap_or_default() != node {
            apply(node, &services).await;
        }
        let left = 60 - u64::from(now.second().unsigned_abs()).min(59);
        if stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(left))).await.is_none() {
            return;
        }
    }
}

/// Where the schedule says nothing, what the operator or the configuration said before holds.
async fn apply(said: Said, services: &Services) {
    let state = services.state.clone();
    let chosen = blocking(move || Ok(state.limits()?)).await.unwrap_or_default();
    let (up, down) = services.configured;
    let up = said.up.unwrap_or(Chosen::over(chosen.up, up));
    let down = said.down.unwrap_or(Chosen::over(chosen.down, down));
    services.throttle_up.set(up);
    services.throttle_down.set(down);
    services.bell.changed.notify_one();
    let words = |rate: Rate| rate.map_or_else(|| "unlimited".to_owned(), |rate| format!("{rate} B/s"));
    tracing::info!(target: "limits", "the schedule has it: up {}, down {}", words(up), words(down));
}
