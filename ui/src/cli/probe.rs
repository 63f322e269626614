//! `skep probe`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_engine::control::link::{LinkClass, LinkRow, Measurement, Method, SyncParams};
use skep_engine::link::monitor::Looker;
use skep_engine::link::params::{meaning, params};
use skep_engine::link::probe::{ProbeError, Probed, Prober, endpoint};
use skep_engine::link::sample::loss_percent;
use skep_engine::link::{Figures, classify};
use skep_engine::swarm::Client;

use super::context::Context;
use crate::config::units;
use crate::host;
use crate::output::{Exit, Failure, human};
use crate::signals::Stop;

/// Measure the link to a node: bandwidth, latency, jitter, loss, what class that makes, and how syncs behave there
///
/// Needs no node here. One measurement takes 5 s at most. Loss is measured with datagrams; where those are blocked it is
/// not known. With --watch it goes on until Ctrl-C, at most 5 % of the link, and says when the class changes. What was
/// measured until Ctrl-C is told; with --count it is incomplete then (exit code 3).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node, http://HOST:PORT
    #[arg(value_name = "URL")]
    url: String,
    /// Measurements; the verdict is about their medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "watch")]
    count: u32,
    /// Time between two of them, such as 5, 500ms or 1h
    #[arg(long, value_name = "S", default_value = "5", value_parser = interval)]
    interval: Duration,
    /// Go on until Ctrl-C, as a monitor does
    #[arg(long)]
    watch: bool,
}

/// Time that a measurement may take.
const LIMIT: Duration = Duration::from_millis(4_800);

/// The least and the most time between two measurements.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = units::duration(text).map_err(|error| error.to_string())?;
    if INTERVALS.contains(&interval) { Ok(interval) } else { Err("100ms to 1h".into()) }
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let url = endpoint(&args.url).map_err(|error| Failure::usage(error.to_string()))?;
    cx.engine(async {
        let token = host::token(cx.settings())?;
        let client = Client::new(token.as_deref(), None).map_err(|e| Failure::because("cannot make requests", e))?;
        let headers = client.node_headers().clone();
        let mut stop = Stop::listen()?;
        if args.watch {
            let looker = Looker::new(&url, headers, fastrand::u64(..), Arc::new(cx.settings().link.clone()));
            let looker = looker.map_err(|error| failed(&url, &error))?;
            watch(cx, looker, args.interval, &mut stop).await
        } else {
            let prober = Prober::new(&url, headers, fastrand::u64(..)).map_err(|error| failed(&url, &error))?;
            measure(cx, &url, prober, args, &mut stop).await
        }
    })
}

fn stopped(url: &str) -> Failure {
    Failure::new(Exit::Incomplete, format!("stopped before anything was measured of {url}"))
}

fn failed(url: &str, error: &ProbeError) -> Failure {
    let exit = match error {
        ProbeError::Url(_) => Exit::Usage,
        ProbeError::Unauthorized => Exit::Refused,
        _ => Exit::Failed,
    };
    Failure::new(exit, format!("cannot probe {url}: {error}"))
}

async fn measure(cx: &Context, url: &str, mut prober: Prober, args: &Args, stop: &mut Stop) -> Result<Exit, Failure> {
    let mut all: Vec<Probed> = Vec::new();
    let (mut trouble, mut exit) = (None, Exit::Done);
    for number in 0..args.count {
        let next = async {
            if number > 0 {
                tokio::time::sleep(args.interval).await;
            }
            prober.probe(LIMIT).await
        };
        let probed = tokio::select! {
            probed = next => probed,
            _ = stop.wait() => {
                exit = Exit::Incomplete;
                break;
            }
        };
        match probed {
            Ok(probed) => {
                if args.count > 1 {
                    let m = probed.sample.measurement();
                    cx.out.result(|| event("sample", &m), || line(&m));
                }
                all.push(probed);
            }
            Err(error) => {
                if args.count > 1 {
                    cx.out.say(&format!("no measurement: {error}"));
                }
                trouble = Some(error);
            }
        }
    }
    if all.is_empty() {
        return Err(match trouble {
            Some(error) => failed(url, &error),
            None => stopped(url),
        });
    }
    let measurement = medians(&all);
    let figures = Figures {
        bandwidth_mbps: measurement.bandwidth_mbps,
        latency_ms: measurement.latency_ms,
        loss_percent: measurement.loss_percent,
    };
    let config = &cx.settings().link;
    let verdict = classify(&figures, &config.thresholds);
    let patch = config.profiles.get(&verdict.class);
    let params = params(verdict.class, figures.bandwidth_mbps, &config.thresholds, patch, false);
    let samples: u32 = all.iter().map(|probed| probed.exchanges).sum();
    let mut notes: Vec<String> = all.into_iter().flat_map(|probed| probed.notes).collect();
    notes.dedup();
    cx.out.result(
        || result(url, &measurement, verdict.class, &verdict.why, &params, samples, &notes),
        || report(cx, url, &measurement, verdict.class, &verdict.why, &params, &notes),
    );
    Ok(exit)
}

fn medians(all: &[Probed]) -> Measurement {
    let of = |figure: fn(&Measurement) -> Option<f64>| {
        let mut figures: Vec<f64> = all.iter().filter_map(|probed| figure(&probed.sample.measurement())).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        match figures.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(figures[middle]),
            _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
        }
    };
    let (sent, back) = all.iter().fold((0, 0), |(sent, back), p| (sent + p.sample.echoes, back + p.sample.echoed));
    Measurement {
        measured_at: all.last().map_or(0, |probed| probed.sample.wall_ms),
        bandwidth_mbps: of(|m| m.bandwidth_mbps),
        latency_ms: of(|m| m.latency_ms),
        jitter_ms: of(|m| m.jitter_ms),
        loss_percent: loss_percent(sent, back),
        method: Method::Active,
        probe_bytes: all.iter().map(|probed| probed.sample.probe_bytes).sum(),
        failed: false,
    }
}

/// Goes on until it is stopped, which is how it ends well.
async fn watch(cx: &Context, mut looker: Looker, interval: Duration, stop: &mut Stop) -> Result<Exit, Failure> {
    let mut told = tokio::time::Instant::now();
    let mut first = true;
    loop {
        let step = tokio::select! {
            step = looker.step() => step,
            _ = stop.wait() => break,
        };
        let row = looker.row();
        if let Some(change) = &step.change {
            cx.out.result(
                || json!({"type": "change", "time": stamp(change.time_ms), "from": change.from, "to": change.to, "why": row.why, "what": change.what}),
                || format!("{}  {} → {}: {}\n          {}", clock(change.time_ms), change.from.name(), change.to.name(), row.why, change.what),
            );
        }
        let Some(look) = step.look else { continue };
        // A wrong URL, token or server does not mend itself: that is an error, not a link.
        if let Some(error) =
            look.error.filter(|error| first || matches!(error, ProbeError::Stranger(_) | ProbeError::Unauthorized))
        {
            return Err(failed(&row.endpoint, &error));
        }
        if first || told.elapsed() >= interval {
            (told, first) = (tokio::time::Instant::now(), false);
            cx.out.result(|| sample(&row), || watched(&row));
        }
    }
    let row = looker.row();
    if row.samples == 0 {
        return Err(stopped(&row.endpoint));
    }
    let measurement = Measurement { probe_bytes: row.probe_bytes, ..row.median };
    cx.out.result(
        || result(&row.endpoint, &measurement, row.class, &row.why, &row.params, row.samples, &[]),
        || report(cx, &row.endpoint, &measurement, row.class, &row.why, &row.params, &[]),
    );
    Ok(Exit::Done)
}

fn sample(row: &LinkRow) -> Value {
    let mut object = event("sample", &row.median);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("class".into(), json!(row.class));
        fields.insert("mode".into(), json!(row.params.mode));
        fields.insert("samples".into(), json!(row.samples));
        fields.insert("stale".into(), json!(row.stale));
        fields.insert("pending".into(), json!(row.pending));
        fields.insert("probe_bytes".into(), json!(row.probe_bytes));
    }
    object
}

fn watched(row: &LinkRow) -> String {
    let stale = if row.stale { "  (old: no answer)" } else { "" };
    let pending = row.pending.as_ref().map(|p| format!("  → {} {}/{}", p.class.name(), p.samples, p.needed));
    format!("{}  {:<12}{stale}{}", line(&row.median), row.class.name(), pending.unwrap_or_default())
}

fn event(kind: &str, m: &Measurement) -> Value {
    json!({
        "type": kind, "bandwidth_mbps": m.bandwidth_mbps, "latency_ms": m.latency_ms, "jitter_ms": m.jitter_ms,
        "loss_percent": m.loss_percent, "method": m.method, "probe_bytes": m.probe_bytes, "measured_at": stamp(m.measured_at),
    })
}

fn result(
    url: &str,
    m: &Measurement,
    class: LinkClass,
    why: &str,
    params: &SyncParams,
    samples: u32,
    notes: &[String],
) -> Value {
    let mut object = event("result", m);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("endpoint".into(), json!(url));
        fields.insert("class".into(), json!(class));
        fields.insert("why".into(), json!(why));
        fields.insert("mode".into(), json!(params.mode));
        fields.insert("params".into(), json!(params));
        fields.insert("samples".into(), json!(samples));
        fields.insert("notes".into(), json!(notes));
    }
    object
}

fn stamp(ms: u64) -> Option<String> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok().map(|time| time.to_string())
}

fn clock(ms: u64) -> String {
    let zoned = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    zoned.map(|time| time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()).unwrap_or_default()
}

fn figure(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "not known".into(), |value| format!("{} {unit}", skep_engine::link::classify::digits(value)))
}

fn line(m: &Measurement) -> String {
    format!(
        "{}  {:>13}  {:>9}  ± {:<9}  loss {:<9}",
        clock(m.measured_at),
        figure(m.bandwidth_mbps, "Mbit/s"),
        figure(m.latency_ms, "ms"),
        figure(m.jitter_ms, "ms"),
        figure(m.loss_percent, "%")
    )
}

fn report(
    cx: &Context,
    url: &str,
    m: &Measurement,
    class: LinkClass,
    why: &str,
    params: &SyncParams,
    notes: &[String],
) -> String {
    let bold = |text: &str| cx.out.paint_out(text, "1");
    let mut lines = vec![
        format!("{}: {}", bold(url), bold(class.name())),
        format!("  {why}"),
        String::new(),
        format!("  bandwidth  {}", figure(m.bandwidth_mbps, "Mbit/s")),
        format!("  latency    {}", figure(m.latency_ms, "ms")),
        format!("  jitter     {}", figure(m.jitter_ms, "ms")),
        format!("  loss       {}", figure(m.loss_percent, "%")),
        format!("  cost       {}", human::bytes(m.probe_bytes)),
        String::new(),
        format!("  syncs      {}: {}", params.mode.name(), meaning(params.mode)),
    ];
    let packed = params.compression.map_or_else(|| "not compressed".to_owned(), |level| format!("zstd level {level}"));
    let when =
        params.interval_ms.map_or_else(|| "when the link allows".to_owned(), |ms| format!("every {} s", ms / 1_000));
    lines.push(format!(
        "             {packed}, chunks of {}, {} at a time, {when}{}",
        human::bytes(params.chunk_bytes),
        params.concurrent,
        if params.queued { ", by priority" } else { "" }
    ));
    lines.extend(notes.iter().map(|note| format!("  note       {note}")));
    lines.join("\n")
}
