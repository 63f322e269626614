//! Health reports with real figures, measured only when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use sysinfo::System;

use super::cgroup;

/// Reports at most this old are given again.
const FRESH: Duration = Duration::from_secs(1);
/// CPU use is measured over the time since the last report; after a longer pause that would say
/// nothing about now, so it is measured over [`SPAN`].
const STALE: Duration = Duration::from_secs(10);
/// The shortest span sysinfo measures over.
const SPAN: Duration = Duration::from_millis(200);
/// Weight of a new latency sample: 1/8, as TCP smooths its round trips (RFC 6298).
const LATENCY_WEIGHT: f64 = 0.125;

/// What `GET /health` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The node's name.
    pub name: String,
    /// CPU use of the machine, or of the cgroup where one limits it, in percent of what there is.
    pub cpu_percent: f64,
    /// Memory in use likewise.
    pub memory_percent: f64,
    /// Connections open to this node.
    pub active_connections: u64,
    /// Smoothed time from a request's head to the first byte of its answer, in milliseconds.
    pub average_latency_ms: f64,
    /// When this was measured, RFC 3339.
    pub time: String,
    /// Program version.
    pub version: String,
}

/// Machine load: CPU and memory, in percent.
#[derive(Debug, Clone, Copy)]
struct Load {
    cpu: f64,
    memory: f64,
}

/// Measures when asked.
#[derive(Debug)]
pub struct Health {
    latency_ms: AtomicU64,
    sampler: Arc<Mutex<Sampler>>,
    /// Lets one asker measure while the others wait for its result.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Sampler {
    /// `None` where the system cannot be asked: then the figures are the cgroup's, or 0.
    system: Option<System>,
    /// When CPU counters were last read, and the cgroup's counter then.
    last: Option<(Instant, Option<u64>)>,
    load: Option<(Instant, Load)>,
}

impl Default for Health {
    fn default() -> Self {
        let sampler = Sampler { system: System::new().ok(), last: None, load: None };
        Self {
            latency_ms: AtomicU64::new(0f64.to_bits()),
            sampler: Arc::new(Mutex::new(sampler)),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl Health {
    /// Counts the time to the first byte of an answer. Lost updates under contention do not matter.
    pub fn served(&self, first_byte: Duration) {
        let sample = first_byte.as_secs_f64() * 1000.0;
        let before = f64::from_bits(self.latency_ms.load(Ordering::Relaxed));
        let after = if before == 0.0 { sample } else { before + (sample - before) * LATENCY_WEIGHT };
        self.latency_ms.store(after.to_bits(), Ordering::Relaxed);
    }

    /// Smoothed time to the first byte in milliseconds; 0 before the first request.
    pub fn latency_ms(&self) -> f64 {
        f64::from_bits(self.latency_ms.load(Ordering::Relaxed))
    }

    /// A report, measured now or at most a second ago.
    pub async fn report(&self, name: &str, connections: u64) -> HealthReport {
        let load = self.load().await;
        let round = |figure: f64| (figure * 100.0).round() / 100.0;
        HealthReport {
            name: name.to_owned(),
            cpu_percent: round(load.cpu),
            memory_percent: round(load.memory),
            active_connections: connections,
            average_latency_ms: (self.latency_ms() * 1000.0).round() / 1000.0,
            time: Timestamp::now().round(Unit::Millisecond).unwrap_or_else(|_| Timestamp::now()).to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    async fn load(&self) -> Load {
        let _turn = self.turn.lock().await;
        let (fresh, stale) = {
            let sampler = self.lock();
            let fresh = sampler.load.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, load)| load);
            (fresh, sampler.last.is_none_or(|(at, _)| at.elapsed() > STALE))
        };
        if let Some(load) = fresh {
            return load;
        }
        if stale {
            self.sample().await;
            tokio::time::sleep(SPAN + SPAN / 10).await;
        }
        self.sample().await
    }

    /// Reads `/proc` and the cgroup's files, which may take milliseconds, off the async threads.
    async fn sample(&self) -> Load {
        let sampler = self.sampler.clone();
        let sampled = tokio::task::spawn_blocking(move || {
            sampler.lock().unwrap_or_else(PoisonError::into_inner).sample(Instant::now(), cgroup::read())
        });
        sampled.await.unwrap_or(Load { cpu: 0.0, memory: 0.0 })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sampler> {
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sampler {
    fn sample(&mut self, now: Instant, group: cgroup::Group) -> Load {
        let (mut cpu, mut used, mut total, mut cpus_there) = (0.0, 0, 0, f64::INFINITY);
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            cpu = f64::from(system.global_cpu_usage());
            (used, total) = (system.used_memory(), system.total_memory());
            cpus_there = system.cpus().len().max(1) as f64;
        }
        // A quota of more CPUs than the machine has limits nothing, nor does such a limit of memory.
        if let (Some((used, cpus)), Some((at, Some(before)))) = (group.cpu.filter(|cpu| cpu.1 < cpus_there), self.last)
        {
            let seconds = now.saturating_duration_since(at).as_secs_f64();
            if seconds > 0.0 {
                cpu = used.saturating_sub(before) as f64 / 1e6 / (seconds * cpus) * 100.0;
            }
        }
        let memory = match group.memory {
            Some((used, limit)) if total == 0 || limit < total => used as f64 / limit.max(1) as f64,
            _ => used as f64 / total.max(1) as f64,
        };
        let load = Load { cpu: cpu.clamp(0.0, 100.0), memory: (memory * 100.0).clamp(0.0, 100.0) };
        self.last = Some((now, group.cpu.map(|(used, _)| used)));
        self.load = Some((now, load));
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_counts_against_its_own_quota() {
        let mut sampler = Sampler { system: System::new().ok(), last: None, load: None };
        let start = Instant::now();
        let group = |used| cgroup::Group { cpu: Some((used, 0.5)), memory: Some((512, 1024)) };
        sampler.sample(start, group(1_000_000));
        let load = sampler.sample(start + Duration::from_secs(2), group(1_250_000));
        assert!((load.cpu - 25.0).abs() < 0.01, "0.25 s of the 1 s that half a CPU has in 2 s: {load:?}");
        assert!((load.memory - 50.0).abs() < 0.01);
    }

    #[test]
    fn a_limit_above_what_the_machine_has_is_none() {
        let mut sampler = Sampler { system: System::new().ok(), last: None, load: None };
        let start = Instant::now();
        let group = |used| cgroup::Group { cpu: Some((used, 1e6)), memory: Some((u64::MAX / 2, u64::MAX)) };
        let measured = sampler.sample(start, group(0));
        assert!(measured.memory != 50.0, "half of what nobody has: {measured:?}");
        // All CPU time that a million CPUs have in a second: the machine's own figure is told instead.
        sampler.sample(start + Duration::from_secs(1), group(500_000_000_000));
        let (total, used) = {
            let system = sampler.system.as_ref().unwrap();
            (system.global_cpu_usage(), sampler.load.unwrap().1.cpu)
        };
        assert!((f64::from(total) - used).abs() < 1e-6, "{used} instead of {total}");
    }

    #[test]
    fn latency_is_smoothed() {
        let health = Health::default();
        health.served(Duration::from_millis(8));
        health.served(Duration::from_millis(16));
        assert!((health.latency_ms() - 9.0).abs() < 1e-9);
    }
}
