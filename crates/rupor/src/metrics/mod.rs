//! The numbers at `/metrics`, in the OpenMetrics text format that Prometheus reads.
//!
//! Nothing is counted here: a scrape takes one [`Snapshot`] of what server, gateway and inlets count, and [`table`] says
//! once what of it is shown under which name, with which help; the reference page is made from the same table. No label
//! carries text that a peer chose.

mod table;

use crate::auth::{Auth, WayCounts};
use crate::by_label;
use crate::gateway::{Counts, Gateway};
use crate::inlet::{heard, lines, outbox};
use crate::outlet::{CallCounts, PhpCounts};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rupor_server::{Handle, Stats};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use table::{Kind, METRICS, Samples};

/// The format's media type.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where the numbers come from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// The server, once it runs.
    pub(crate) server: Arc<OnceLock<Handle>>,
    /// The gateway.
    pub(crate) gateway: Arc<Gateway>,
    /// Who connections are.
    pub(crate) auth: Arc<Auth>,
    /// The line inlets.
    pub(crate) lines: Arc<lines::Stats>,
    /// The Redis inlet.
    pub(crate) redis: Arc<heard::Stats>,
    /// The PostgreSQL inlet.
    pub(crate) postgres: Arc<heard::Stats>,
    /// The outbox.
    pub(crate) outbox: Arc<outbox::Stats>,
}

/// What was counted, at one moment.
#[derive(Debug, Default)]
struct Snapshot {
    server: Stats,
    gateway: Counts,
    ways: WayCounts,
    sessions: by_label::Counts,
    questions: by_label::Counts,
    lines: lines::Counts,
    redis: heard::Counts,
    postgres: heard::Counts,
    outbox: outbox::Counts,
    /// By pool.
    php: Vec<(String, PhpCounts)>,
    /// By who is called, and pool.
    calls: Vec<([String; 2], CallCounts)>,
    started_at: u64,
}

/// `GET /metrics`. Who may ask is decided by who mounts this.
pub(crate) fn router(sources: Sources) -> Router {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let started_at = since_1970.map_or(0, |time| time.as_secs());
    let text = move || {
        let settings = sources.gateway.settings();
        let snapshot = Snapshot {
            server: sources.server.get().map(Handle::stats).unwrap_or_default(),
            gateway: sources.gateway.counts(),
            ways: sources.auth.counts(),
            questions: sources
                .auth
                .asker()
                .map(|asker| asker.counts())
                .unwrap_or_default(),
            sessions: sources
                .auth
                .sessions()
                .map(|sessions| sessions.watched.counts())
                .unwrap_or_default(),
            php: settings
                .php
                .iter()
                .map(|php| (php.pool().to_owned(), php.counts()))
                .collect(),
            lines: sources.lines.counts(),
            redis: sources.redis.counts(),
            postgres: sources.postgres.counts(),
            outbox: sources.outbox.counts(),
            calls: settings
                .calls
                .iter()
                .map(|calls| {
                    (
                        [calls.name(), calls.pool()].map(str::to_owned),
                        calls.counts(),
                    )
                })
                .collect(),
            started_at,
        };
        // Writing into a String does not fail; an empty page would say that it did.
        let text = encode(snapshot).unwrap_or_default();
        ([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response()
    };
    Router::new().route("/metrics", get(async move || text()))
}

fn encode(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("rupor");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::with_capacity(16 * 1024);
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in METRICS {
            let unit = metric.unit.map(|unit| match unit {
                "bytes" => Unit::Bytes,
                "seconds" => Unit::Seconds,
                other => Unit::Other(other.to_owned()),
            });
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let mut encoder =
                encoder.encode_descriptor(metric.name, metric.help, unit.as_ref(), kind)?;
            match (metric.samples)(self) {
                Samples::One(value) => sample(metric.kind, value, encoder)?,
                Samples::By(labels, values) => {
                    for (of_labels, value) in values {
                        let labels: Vec<_> = labels.iter().copied().zip(of_labels).collect();
                        sample(metric.kind, value, encoder.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn sample(kind: Kind, value: u64, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
    match kind {
        Kind::Counter => ConstCounter::new(value).encode(encoder),
        Kind::Gauge => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder),
    }
}

#[cfg(test)]
mod tests;
