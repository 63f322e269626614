//! Puts the schedule's limits in force as time goes by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use tokio_util::sync::CancellationToken;

use super::fetch_job::blocking;
use super::services::Services;
use crate::control::Rate;
use crate::schedule::{Said, Schedule};
use crate::store::Chosen;
use crate::throttle::Throttle;

/// The limits of one link.
#[derive(Debug, Default)]
pub(crate) struct LinkLimit {
    pub up: Arc<Throttle>,
    pub down: Arc<Throttle>,
}

/// Links with limits of their own, by `host:port`.
#[derive(Debug, Default)]
pub(crate) struct LinkLimits(BTreeMap<String, LinkLimit>);

impl LinkLimits {
    /// Those that some rule is for.
    pub(super) fn of(schedule: &Schedule) -> Self {
        Self(schedule.links().map(|link| (link.to_owned(), LinkLimit::default())).collect())
    }

    /// The limits of what goes to this URL, if it has some.
    pub(super) fn towards(&self, url: &str) -> Option<&LinkLimit> {
        self.0.get(&host_and_port(url)?)
    }
}

fn host_and_port(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

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
            if let Some(limit) = services.links_limited.0.get(link) {
                limit.up.set(said.up.flatten());
                limit.down.set(said.down.flatten());
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{DAY, Rule};

    #[test]
    fn a_link_is_known_by_host_and_port() {
        let link =
            |link: &str| Rule { days: [true; 7], minutes: (0, DAY), link: Some(link.into()), up: None, down: None };
        let limits = LinkLimits::of(&Schedule(vec![link("far:7070"), link("near:80")]));
        assert!(limits.towards("http://far:7070/in/").is_some() && limits.towards("http://near/x").is_some());
        assert!(limits.towards("http://far:7071/").is_none() && limits.towards("no url").is_none());
    }
}
