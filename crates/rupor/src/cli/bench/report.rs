//! What is printed: one [`Report`], as a table for people or as JSON.

use super::Scenario;
use super::conductor::{Measured, ServerUse};
use super::plan::Plan;
use serde::Serialize;
use std::fmt::{self, Write as _};

/// Everything of a run. The names are those of `--json`; times end in `_s` or `_us`, memory in `_bytes`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    scenario: &'static str,
    url: String,
    connections: usize,
    payload_bytes: usize,
    kind: &'static str,
    deflate: bool,
    in_flight: usize,
    rate: Option<u64>,
    threads: usize,
    warmup_s: f64,
    /// What was measured.
    duration_s: f64,
    opened: usize,
    opening_s: f64,
    opened_per_s: f64,
    /// Over the whole run, warm-up and end included; these add up.
    total: Total,
    /// Replies or deliveries while it was measured.
    messages: u64,
    messages_per_s: f64,
    megabytes_per_s: f64,
    latency: Option<Latency>,
    /// Cores that the generator used; near `threads` it may be the bottleneck. `None`: the system does not tell.
    generator_cores: Option<f64>,
    generator_cpu_us_per_message: Option<f64>,
    server: Option<Server>,
    interrupted: bool,
    lost_connections: u64,
    error: Option<String>,
}

/// Counts of the whole run.
#[derive(Debug, Serialize)]
struct Total {
    /// Messages sent, or publications.
    sent: u64,
    /// Replies, or answers of the inlet.
    answered: u64,
    /// Publications times receivers, for `broadcast` and `push`.
    deliveries_expected: Option<u64>,
    deliveries: Option<u64>,
    /// What did not come.
    missing: u64,
}

/// From the moment that a message was meant to leave.
#[derive(Debug, Serialize)]
struct Latency {
    messages: u64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// The processes of `--pid`.
#[derive(Debug, Serialize)]
struct Server {
    cores: f64,
    messages_per_cpu_s: Option<f64>,
    opening_cpu_us_per_connection: f64,
    bytes_per_connection_open: f64,
    bytes_per_connection_end: f64,
    resident_bytes: u64,
}

impl Report {
    /// Of what was measured.
    pub(super) fn new(plan: &Plan, measured: &Measured) -> Self {
        let seconds = measured.duration.as_secs_f64();
        let opening = measured.opening.as_secs_f64();
        let messages = measured.messages;
        let bytes = float(messages) * float(plan.payload.len() as u64);
        let outcome = &measured.outcome;
        let total = total(plan, measured);
        let error = match (&measured.failure, &outcome.first_loss) {
            (Some(why), _) | (None, Some(why)) => Some(why.clone()),
            (None, None) if total.missing > 0 => Some(format!(
                "{} messages did not come within five seconds after the end",
                total.missing
            )),
            (None, None) => None,
        };
        let own_cpu_ns = measured.own_cpu_ns.map(float);
        Self {
            scenario: plan.scenario.name(),
            url: plan.url.clone(),
            connections: plan.connections,
            payload_bytes: plan.payload.len(),
            kind: if plan.binary { "binary" } else { "text" },
            deflate: plan.deflate,
            in_flight: plan.in_flight,
            rate: plan.rate,
            threads: plan.threads,
            warmup_s: plan.warmup.as_secs_f64(),
            duration_s: seconds,
            opened: measured.opened,
            opening_s: opening,
            opened_per_s: ratio(float(measured.opened as u64), opening),
            total,
            messages,
            messages_per_s: ratio(float(messages), seconds),
            megabytes_per_s: ratio(bytes / 1e6, seconds),
            latency: latency(measured),
            generator_cores: own_cpu_ns.map(|ns| ratio(ns / 1e9, seconds)),
            generator_cpu_us_per_message: own_cpu_ns
                .filter(|_| messages > 0)
                .map(|ns| ratio(ns / 1e3, float(messages))),
            server: measured
                .server
                .map(|used| server(measured, used, plan.scenario == Scenario::Idle)),
            interrupted: measured.interrupted,
            lost_connections: outcome.lost,
            error,
        }
    }

    /// Whether everything came as it should.
    pub(super) fn is_good(&self) -> bool {
        self.error.is_none()
    }

    /// As JSON, on one line.
    pub(super) fn json(&self) -> String {
        // Numbers and texts: there is nothing in it that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn total(plan: &Plan, measured: &Measured) -> Total {
    let outcome = &measured.outcome;
    match plan.scenario {
        Scenario::Echo | Scenario::Idle => Total {
            sent: outcome.sent,
            answered: outcome.received,
            deliveries_expected: None,
            deliveries: None,
            missing: outcome.sent.saturating_sub(outcome.received),
        },
        Scenario::Broadcast | Scenario::Push => {
            let expected = outcome.published * plan.deliveries();
            let unanswered = outcome.published.saturating_sub(outcome.answered);
            Total {
                sent: outcome.published,
                answered: outcome.answered,
                deliveries_expected: Some(expected),
                deliveries: Some(outcome.received),
                missing: expected.saturating_sub(outcome.received) + unanswered,
            }
        }
    }
}

fn latency(measured: &Measured) -> Option<Latency> {
    let latencies = &measured.outcome.latencies;
    let at = |quantile| float(latencies.value_at_quantile(quantile)) / 1e3;
    (!latencies.is_empty()).then(|| Latency {
        messages: latencies.len(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: float(latencies.max()) / 1e3,
    })
}

fn server(measured: &Measured, used: ServerUse, idle: bool) -> Server {
    let cpu = float(used.cpu_ns) / 1e9;
    let connections = float(measured.opened as u64);
    let grown = |to: u64| ratio(float(to) - float(used.resident_before), connections);
    Server {
        cores: ratio(cpu, measured.duration.as_secs_f64()),
        messages_per_cpu_s: (!idle).then(|| ratio(float(measured.messages), cpu)),
        opening_cpu_us_per_connection: ratio(float(used.opening_cpu_ns) / 1e3, connections),
        bytes_per_connection_open: grown(used.resident_open),
        bytes_per_connection_end: grown(used.resident_end),
        resident_bytes: used.resident_end,
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "shown to a few digits; a double keeps fifteen"
)]
fn float(number: u64) -> f64 {
    number as f64
}

/// Zero when there is nothing to divide by.
fn ratio(of: f64, by: f64) -> f64 {
    if by > 0.0 { of / by } else { 0.0 }
}

impl fmt::Display for Report {
    /// The table.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        let rate = self.rate.map_or("as fast as it goes".to_owned(), |rate| {
            format!("{} a second", grouped(float(rate)))
        });
        if self.scenario == "idle" {
            lines.push(("idle", self.url.clone()));
        } else {
            lines.push((self.scenario, format!("{}, {rate}", self.url)));
            lines.push((
                "messages of",
                format!(
                    "{} bytes {}{}, {} in flight",
                    self.payload_bytes,
                    self.kind,
                    if self.deflate { " compressed" } else { "" },
                    self.in_flight
                ),
            ));
        }
        lines.push((
            "opened",
            format!(
                "{} of {} connections in {:.2} s: {} a second",
                grouped(float(self.opened as u64)),
                grouped(float(self.connections as u64)),
                self.opening_s,
                grouped(self.opened_per_s)
            ),
        ));
        self.push_messages(&mut lines);
        let text = generator(self.generator_cores, self.threads);
        lines.push(("generator", text));
        self.push_server(&mut lines);
        if self.interrupted {
            lines.push(("interrupted", "what was measured until then".to_owned()));
        }
        let errors = self.error.clone().unwrap_or("none".to_owned());
        lines.push(("errors", errors));
        if self.lost_connections > 0 {
            lines.push(("lost", format!("{} connections", self.lost_connections)));
        }
        let lines: Vec<String> = lines
            .iter()
            .map(|(name, text)| format!("{name:<12} {text}"))
            .collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl Report {
    fn push_messages(&self, lines: &mut Vec<(&'static str, String)>) {
        if self.scenario == "idle" {
            lines.push(("held", format!("{:.2} s", self.duration_s)));
            return;
        }
        let name = if self.total.deliveries.is_some() {
            "deliveries"
        } else {
            "replies"
        };
        lines.push((
            name,
            format!(
                "{} in {:.2} s: {} a second, {:.1} MB/s",
                grouped(float(self.messages)),
                self.duration_s,
                grouped(self.messages_per_s),
                self.megabytes_per_s
            ),
        ));
        if let Some(latency) = &self.latency {
            lines.push((
                "latency",
                format!(
                    "p50 {}  p99 {}  p99.9 {}  max {}",
                    time(latency.p50_us),
                    time(latency.p99_us),
                    time(latency.p999_us),
                    time(latency.max_us)
                ),
            ));
        }
    }

    fn push_server(&self, lines: &mut Vec<(&'static str, String)>) {
        let Some(server) = &self.server else { return };
        let mut text = format!("{:.2} cores", server.cores);
        if let Some(messages) = server.messages_per_cpu_s {
            // Writing to a String does not fail.
            let _ = write!(text, ", {} messages per CPU second", grouped(messages));
        }
        lines.push(("server", text));
        lines.push((
            "",
            format!(
                "{:.1} us of CPU to open a connection",
                server.opening_cpu_us_per_connection
            ),
        ));
        lines.push((
            "",
            format!(
                "{} bytes a connection after opening, {} at the end",
                grouped(server.bytes_per_connection_open),
                grouped(server.bytes_per_connection_end)
            ),
        ));
    }
}

/// Without cores where the system does not tell: a 0 would say that it did nothing.
fn generator(cores: Option<f64>, threads: usize) -> String {
    let cores = cores.map_or(String::new(), |cores| format!("{cores:.2} cores, "));
    let plural = if threads == 1 { "" } else { "s" };
    format!("{cores}{threads} thread{plural}")
}

/// Microseconds, or milliseconds from ten of them on.
fn time(us: f64) -> String {
    if us < 10_000.0 {
        format!("{us:.0} us")
    } else {
        format!("{:.1} ms", us / 1e3)
    }
}

/// Rounded, with a comma between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut out = String::new();
    if number <= -0.5 {
        out.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{generator, grouped, ratio, time};

    #[test]
    fn what_the_system_does_not_tell_of_the_generator_is_left_out() {
        assert_eq!(generator(Some(0.512), 1), "0.51 cores, 1 thread");
        assert_eq!(generator(None, 2), "2 threads");
    }

    #[test]
    fn numbers_are_for_people() {
        for (number, text) in [
            (0.0, "0"),
            (999.4, "999"),
            (1000.0, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-0.4, "0"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(time(66.4), "66 us");
        assert_eq!(time(12_345.0), "12.3 ms");
        assert!(ratio(1.0, 0.0).abs() < f64::EPSILON);
    }
}
