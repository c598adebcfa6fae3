use super::table::{Kind, METRICS, Samples};
use super::{Snapshot, encode};
use crate::config::reference::fresh;
use rupor_server::LeftOut;
use std::collections::HashSet;
use std::fmt::Write as _;

/// As it stands on the page.
fn full_name(metric: &super::table::Metric) -> String {
    let mut name = format!("rupor_{}", metric.name);
    if let Some(unit) = metric.unit {
        write!(name, "_{unit}").unwrap();
    }
    if metric.kind == Kind::Counter {
        name.push_str("_total");
    }
    name
}

#[test]
fn reference_of_the_metrics_is_fresh() {
    let mut page = String::from(
        "# Metrics\n\n<!-- Made from crates/rupor/src/metrics/table.rs; do not edit.\n     \
         RUPOR_WRITE_REFERENCE=1 cargo test -p rupor reference -->\n\n\
         `GET /metrics` answers in the OpenMetrics text format. In demo mode everybody on this machine may ask; \
         `rupor serve` wants the bearer key of the HTTP API (`authorization` in Prometheus' scrape configuration) and \
         serves no metrics without one. No label holds text that a peer chose.\n\n\
         | name | kind | label | what it is |\n|---|---|---|---|\n",
    );
    for metric in METRICS {
        let label = match (metric.samples)(&Snapshot::default()) {
            Samples::One(_) => String::new(),
            Samples::By(labels, _) => format!("`{}`", labels.join("`, `")),
        };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        writeln!(
            page,
            "| `{}` | {kind} | {label} | {} |",
            full_name(metric),
            metric.help
        )
        .unwrap();
    }
    fresh("docs/reference/metrics.md", &page);
}

#[test]
fn every_metric_is_on_the_page_with_its_help() {
    let mut snapshot = Snapshot::default();
    snapshot.server.connections = 7;
    snapshot.server.connections_per_worker = vec![3, 4];
    snapshot.server.closed = vec![("1000", 5), ("other", 1)];
    snapshot.server.left_out = vec![(LeftOut::Replaced, 8)];
    snapshot.server.bytes_in = 99;
    snapshot.gateway.users = 2;
    let text = encode(snapshot).unwrap();
    let mut names = HashSet::new();
    for metric in METRICS {
        let name = full_name(metric);
        let family = name.trim_end_matches("_total");
        assert!(
            text.contains(&format!("# HELP {family} {}\n", metric.help)),
            "{name}\n{text}"
        );
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    for line in [
        "rupor_connections 7",
        "rupor_worker_connections{worker=\"1\"} 4",
        "rupor_closed_total{code=\"1000\"} 5",
        "rupor_closed_total{code=\"other\"} 1",
        "rupor_left_out_publications_total{policy=\"latest\",reason=\"replaced\"} 8",
        "rupor_received_bytes_total 99",
        "rupor_users 2",
        "# TYPE rupor_received_bytes counter",
        "# UNIT rupor_received_bytes bytes",
        "# EOF",
    ] {
        assert!(text.lines().any(|is| is == line), "{line}\n{text}");
    }
}
