//! Counters of one node, and their Prometheus text. A registry per node: several may live in one
//! process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::services::Figures;

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

/// Label of a transfer's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: String,
}

/// What the server counts. Readable at any time, also by the engine for its snapshots.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Payload of pieces and files sent, in bytes.
    pub bytes_up: Counter,
    /// Of these, sent by the kernel without a copy.
    pub bytes_up_uncopied: Counter,
    /// Bytes written to sockets, heads included.
    pub wire_up: Counter,
    /// Bytes read from sockets, heads included.
    pub wire_down: Counter,
    /// Pieces sent whole.
    pub pieces_served: Counter,
    /// Requests for pieces answered "choked".
    pub choked: Counter,
    /// Connections open now, upgraded ones included.
    pub connections: Gauge<u64, AtomicU64>,
    /// Connections turned away at a cap.
    pub refused: Counter,
    requests: Family<RequestLabels, Counter>,
}

impl Metrics {
    /// Counters at zero; what the engine counts is asked for at each scrape.
    pub fn new(figures: Arc<dyn Figures>) -> Self {
        let mut registry = Registry::with_prefix("skep");
        let metrics = Self {
            registry: Registry::default(),
            bytes_up: Counter::default(),
            bytes_up_uncopied: Counter::default(),
            wire_up: Counter::default(),
            wire_down: Counter::default(),
            pieces_served: Counter::default(),
            choked: Counter::default(),
            connections: Gauge::default(),
            refused: Counter::default(),
            requests: Family::default(),
        };
        registry.register("sent_bytes", "Payload of pieces and files sent", metrics.bytes_up.clone());
        registry.register(
            "sent_uncopied_bytes",
            "Payload that the kernel sent without a copy (sendfile)",
            metrics.bytes_up_uncopied.clone(),
        );
        registry.register("wire_sent_bytes", "Bytes written to sockets by the server", metrics.wire_up.clone());
        registry.register("wire_received_bytes", "Bytes read from sockets by the server", metrics.wire_down.clone());
        registry.register("pieces_served", "Pieces sent whole", metrics.pieces_served.clone());
        registry.register("choked_answers", "Piece requests answered choked", metrics.choked.clone());
        registry.register("connections", "Connections open", metrics.connections.clone());
        registry.register("connections_refused", "Connections turned away at a cap", metrics.refused.clone());
        registry.register("requests", "Requests by route and status", metrics.requests.clone());
        registry.register_collector(Box::new(EngineCollector(figures)));
        Self { registry, ..metrics }
    }

    /// Counts a request. Routes are patterns, so there are few.
    pub fn request(&self, route: &str, status: u16) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
    }

    /// The Prometheus (OpenMetrics) text.
    ///
    /// # Errors
    /// Never in practice: writing to a string.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Asks the engine at each scrape.
#[derive(Debug)]
struct EngineCollector(Arc<dyn Figures>);

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = self.0.figures();
        let counters = [
            ("received_bytes", "Payload received, thrown away or not", figures.bytes_down),
            ("hash_failures", "Pieces that did not match their digest", figures.hash_failures),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let bans = ConstGauge::new(figures.bans);
        bans.encode(encoder.encode_descriptor("bans", "Bans in force", None, bans.metric_type())?)?;
        let kind = ConstGauge::new(0u64).metric_type();
        let uploads = figures.uploads;
        let held = ConstGauge::new(uploads.held_bytes);
        let help = "Bytes held of unfinished uploads that others push here";
        held.encode(encoder.encode_descriptor("uploads_held_bytes", help, None, kind)?)?;
        let mut states = encoder.encode_descriptor("uploads", "Uploads that others push here, by state", None, kind)?;
        for (state, count) in [
            ("open", uploads.open),
            ("assembling", uploads.assembling),
            ("done", uploads.done),
            ("cancelled", uploads.cancelled),
        ] {
            ConstGauge::new(count).encode(states.encode_family(&StateLabel { state: state.into() })?)?;
        }
        let mut transfers = encoder.encode_descriptor("transfers", "Transfers by state", None, kind)?;
        for (state, count) in figures.transfers {
            let label = StateLabel { state };
            ConstGauge::new(count).encode(transfers.encode_family(&label)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::services::EngineFigures;
    use super::*;
    use crate::upload::Counts;

    #[derive(Debug)]
    struct Fixed;
    impl Figures for Fixed {
        fn figures(&self) -> EngineFigures {
            let uploads = Counts { open: 4, done: 1, held_bytes: 77, ..Counts::default() };
            EngineFigures { bytes_down: 5, hash_failures: 1, bans: 2, uploads, transfers: vec![("running".into(), 3)] }
        }
    }

    #[test]
    fn text_has_what_the_server_and_the_engine_count() {
        let metrics = Metrics::new(Arc::new(Fixed));
        metrics.bytes_up.inc_by(7);
        metrics.request("/health", 200);
        let text = metrics.text().unwrap();
        for line in [
            "skep_sent_bytes_total 7",
            "skep_requests_total{route=\"/health\",status=\"200\"} 1",
            "skep_received_bytes_total 5",
            "skep_hash_failures_total 1",
            "skep_bans 2",
            "skep_transfers{state=\"running\"} 3",
            "skep_uploads{state=\"open\"} 4",
            "skep_uploads{state=\"cancelled\"} 0",
            "skep_uploads_held_bytes 77",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} should be in\n{text}");
        }
    }
}
