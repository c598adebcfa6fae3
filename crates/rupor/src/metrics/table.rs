//! Every metric: name, kind, unit, help, and where its value is.

use super::Snapshot;
use crate::by_label;
use crate::outlet::{CallCounts, PhpCounts};
use rupor_server::LeftOut;
use std::collections::BTreeMap;

/// Whether a number only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Grows from the start; shown as `…_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A metric's values.
pub(super) enum Samples {
    /// One.
    One(u64),
    /// One for each combination of values of the labels.
    By(&'static [&'static str], Vec<(Vec<String>, u64)>),
}

/// A metric.
pub(super) struct Metric {
    /// Without the prefix `rupor_`, the unit and `_total`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Stands at the end of the name.
    pub(super) unit: Option<&'static str>,
    /// Without a full stop.
    pub(super) help: &'static str,
    pub(super) samples: fn(&Snapshot) -> Samples,
}

const fn counter(
    name: &'static str,
    help: &'static str,
    samples: fn(&Snapshot) -> Samples,
) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit: None,
        help,
        samples,
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    samples: fn(&Snapshot) -> Samples,
) -> Metric {
    Metric {
        kind: Kind::Gauge,
        ..counter(name, help, samples)
    }
}

impl Metric {
    const fn in_unit(self, unit: &'static str) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }
}

fn one(value: u64) -> Samples {
    Samples::One(value)
}

fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn count(value: usize) -> Samples {
    Samples::One(wide(value))
}

fn by<L: ToString>(
    label: &'static [&'static str; 1],
    values: impl IntoIterator<Item = (L, u64)>,
) -> Samples {
    let values = values
        .into_iter()
        .map(|(of_label, value)| (vec![of_label.to_string()], value));
    Samples::By(label, values.collect())
}

fn each_way(sent: u64, received: u64) -> Samples {
    by(&["direction"], [("sent", sent), ("received", received)])
}

fn by_pool(snapshot: &Snapshot, value: impl Fn(&PhpCounts) -> u64) -> Samples {
    let pools = snapshot.php.iter();
    by(&["pool"], pools.map(|(pool, counts)| (pool, value(counts))))
}

fn by_pool_and(
    labels: &'static [&'static str; 2],
    snapshot: &Snapshot,
    values: impl Fn(&PhpCounts) -> &by_label::Counts,
) -> Samples {
    let of_pool = |(pool, counts): &(String, PhpCounts)| {
        let pair = |(label, value): &(&str, u64)| (vec![pool.clone(), (*label).to_owned()], *value);
        values(counts).iter().map(pair).collect::<Vec<_>>()
    };
    Samples::By(labels, snapshot.php.iter().flat_map(of_pool).collect())
}

fn by_call(snapshot: &Snapshot, value: impl Fn(&CallCounts) -> u64) -> Samples {
    let calls = snapshot.calls.iter();
    let values = calls.map(|(to_pool, counts)| (to_pool.to_vec(), value(counts)));
    Samples::By(&["to", "pool"], values.collect())
}

fn by_two(
    labels: &'static [&'static str; 2],
    counts: &BTreeMap<[&'static str; 2], u64>,
) -> Samples {
    let owned = |(pair, count): (&[&str; 2], &u64)| (pair.map(str::to_owned).to_vec(), *count);
    Samples::By(labels, counts.iter().map(owned).collect())
}

/// All of them, in the order of the page.
pub(super) static METRICS: &[Metric] = &[
    gauge(
        "build",
        "The program that runs: 1, with its version as the label",
        |_| by(&["version"], [(env!("CARGO_PKG_VERSION"), 1)]),
    ),
    gauge(
        "start_time",
        "When the program was started, since 1970",
        |s| one(s.started_at),
    )
    .in_unit("seconds"),
    gauge("connections", "WebSockets open now", |s| {
        one(s.server.connections)
    }),
    gauge(
        "worker_connections",
        "WebSockets open now, by worker thread",
        |s| {
            by(&["worker"],
                (0..)
                    .zip(s.server.connections_per_worker.iter().copied())
                    .map(|(w, n): (u32, u64)| (w, n)),
            )
        },
    ),
    gauge(
        "openings",
        "Connections accepted that are no WebSockets yet, or HTTP",
        |s| one(s.server.openings),
    ),
    counter("accepted", "TCP connections accepted", |s| {
        one(s.server.accepted)
    }),
    counter(
        "accept_errors",
        "Attempts to accept that failed, most often for want of file descriptors",
        |s| one(s.server.accept_errors),
    ),
    counter("http2_connections", "Connections that chose HTTP/2", |s| {
        one(s.server.http2_connections)
    }),
    counter("opened", "WebSockets opened", |s| one(s.server.opened)),
    counter(
        "http2_opened",
        "WebSockets opened over HTTP/2 (RFC 8441)",
        |s| one(s.server.http2_websockets),
    ),
    counter(
        "closed",
        "WebSockets closed, by close code (RFC 6455 §7.4)",
        |s| by(&["code"], s.server.closed.iter().copied()),
    ),
    counter(
        "dropped",
        "WebSockets that the server dropped, by reason",
        |s| {
            by(&["reason"],
                s.server
                    .dropped
                    .iter()
                    .map(|(reason, count)| (reason.label(), *count)),
            )
        },
    ),
    counter(
        "left_out_publications",
        "Publications left out for slow readers, one for each, by the policy of the channel and the reason",
        |s| {
            let label = |how: &LeftOut| [how.policy(), how.label()].map(str::to_owned).to_vec();
            let left_out = s.server.left_out.iter();
            Samples::By(
                &["policy", "reason"],
                left_out.map(|(how, count)| (label(how), *count)).collect(),
            )
        },
    ),
    counter(
        "refused",
        "Connections and upgrades refused, by reason",
        |s| {
            by(&["reason"],
                s.server
                    .refused
                    .iter()
                    .map(|(reason, count)| (reason.label(), *count)),
            )
        },
    ),
    counter(
        "proxy_headers_ignored",
        "Headers that only proxies send, from addresses that are no trusted proxies; not believed",
        |s| one(s.server.proxy_headers_ignored),
    ),
    counter(
        "received_messages",
        "Messages received from browsers",
        |s| one(s.server.messages_in),
    ),
    counter("received", "Bytes received on WebSockets, below TLS", |s| {
        one(s.server.bytes_in)
    })
    .in_unit("bytes"),
    counter(
        "sent_frames",
        "Message frames queued for browsers, one for each connection that gets it",
        |s| one(s.server.frames_out),
    ),
    counter("sent", "Bytes sent on WebSockets, below TLS", |s| {
        one(s.server.bytes_out)
    })
    .in_unit("bytes"),
    gauge("backlog", "Bytes that wait for slow browsers now", |s| {
        one(s.server.backlog_bytes)
    })
    .in_unit("bytes"),
    gauge(
        "deflate_connections",
        "WebSockets open now that agreed to compression (permessage-deflate)",
        |s| one(s.server.deflate_connections),
    ),
    counter(
        "deflate_compressions",
        "Runs of a compressor: connections that were sent the same share one",
        |s| one(s.server.compressions),
    ),
    counter(
        "deflate_messages",
        "Messages that went over a WebSocket compressed, by direction",
        |s| {
            each_way(
                s.server.deflated_messages_out,
                s.server.deflated_messages_in,
            )
        },
    ),
    counter(
        "deflate_plain",
        "Bytes of those messages uncompressed, by direction",
        |s| {
            each_way(
                s.server.deflated_plain_bytes_out,
                s.server.deflated_plain_bytes_in,
            )
        },
    )
    .in_unit("bytes"),
    counter(
        "deflate_wire",
        "Bytes of those messages as they went over the wire, by direction; of received ones without the frames' headers",
        |s| {
            each_way(
                s.server.deflated_wire_bytes_out,
                s.server.deflated_wire_bytes_in,
            )
        },
    )
    .in_unit("bytes"),
    counter(
        "handler_panics",
        "Panics in a connection's callbacks; each ended one connection",
        |s| one(s.server.panics),
    ),
    gauge("users", "Users with a connection", |s| {
        count(s.gateway.users)
    }),
    gauge("channels", "Channels with a subscription", |s| {
        count(s.gateway.channels)
    }),
    gauge(
        "subscriptions",
        "Subscriptions: a connection in a channel",
        |s| count(s.gateway.subscriptions),
    ),
    counter("publications", "Publications taken", |s| {
        one(s.gateway.publications)
    }),
    counter(
        "publications_refused",
        "Publications refused, by reason",
        |s| {
            by(&["reason"],
                [
                    ("overloaded", s.gateway.publications_overloaded),
                    ("invalid", s.gateway.publications_refused),
                ],
            )
        },
    ),
    counter(
        "unanswered_messages",
        "Messages from browsers that were dropped, by reason",
        |s| {
            by(&["reason"],
                [
                    ("no_application", s.gateway.dropped_no_application),
                    ("unidentified", s.gateway.dropped_unidentified),
                ],
            )
        },
    ),
    counter(
        "forbidden",
        "What browsers asked for and a [[channel]] rule refused; at an upgrade, too",
        |s| {
            let [subscribe, publish] = s.gateway.forbidden;
            by(&["right"], [("subscribe", subscribe), ("publish", publish)])
        },
    ),
    counter(
        "identities",
        "Upgrades that a way of `auth` was asked about, by what it came to: accepted; absent, so that the next way is asked; refused; failed, because it could not be \
         asked. Tokens in first messages, too",
        |s| by_two(&["way", "result"], &s.ways.results),
    ),
    counter(
        "identities_refused",
        "Those that were refused or failed, by way and reason",
        |s| by_two(&["way", "reason"], &s.ways.reasons),
    ),
    counter(
        "session_rechecks",
        "Open connections whose session was looked at again, by what became of them: kept; signed_out and closed; user_changed and closed; unknown, because \
         sessions cannot be read, and kept",
        |s| by(&["result"], s.sessions.iter().copied()),
    ),
    counter(
        "channel_questions",
        "Questions to the site about channels (`webhook` in a rule), by what they came to: allowed; refused; failed, because it did not say; overloaded, because too many wait",
        |s| by(&["result"], s.questions.iter().copied()),
    ),
    gauge(
        "inlet_connections",
        "Connections to the line inlets now",
        |s| one(s.lines.connections),
    ),
    counter(
        "inlet_connections_opened",
        "Connections to the line inlets",
        |s| one(s.lines.connections_total),
    ),
    counter(
        "inlet_connections_cut",
        "Connections to the line inlets that were cut off because they did not speak lines: a browser, TLS",
        |s| one(s.lines.connections_cut),
    ),
    counter("inlet_lines", "Lines received", |s| one(s.lines.lines)),
    counter("inlet_lines_refused", "Lines answered with an error", |s| {
        one(s.lines.lines_refused)
    }),
    counter(
        "inlet_answers_dropped",
        "Answers dropped because the writer did not read them; their lines were taken",
        |s| one(s.lines.answers_dropped),
    ),
    gauge(
        "redis_connected",
        "Whether Redis is subscribed to: 1, or 0",
        |s| one(u64::from(s.redis.connected)),
    ),
    counter(
        "redis_connections_lost",
        "Connections to Redis that were lost; what was published before the next one was not heard",
        |s| one(s.redis.lost),
    ),
    counter(
        "redis_messages",
        "Messages of Redis, by what became of them: published; wrong (not JSON, not to anybody); too_long; refused by the hub or by \
         workers that have too much to do; dropped because too many wait",
        |s| by(&["result"], s.redis.messages.iter().copied()),
    ),
    gauge(
        "postgres_connected",
        "Whether PostgreSQL is listened to: 1, or 0",
        |s| one(u64::from(s.postgres.connected)),
    ),
    counter(
        "postgres_connections_lost",
        "Connections to PostgreSQL that were lost; what was notified before the next one was not heard",
        |s| one(s.postgres.lost),
    ),
    counter(
        "postgres_notifications",
        "Notifications of PostgreSQL, by what became of them: as for Redis",
        |s| by(&["result"], s.postgres.messages.iter().copied()),
    ),
    gauge(
        "outbox_connected",
        "Whether there is a connection to the outbox's database, and the table is there: 1, or 0",
        |s| one(u64::from(s.outbox.connected)),
    ),
    gauge(
        "outbox_reading",
        "Whether it is this gateway that reads the outbox: 1, or 0",
        |s| one(u64::from(s.outbox.reading)),
    ),
    counter(
        "outbox_connections_lost",
        "Connections to the outbox's database that were lost; rows wait in it meanwhile",
        |s| one(s.outbox.lost),
    ),
    counter(
        "outbox_rows",
        "Rows of the outbox, by what became of them: published; unheard, because nobody came in time; dead letters, which stay there",
        |s| by(&["result"], s.outbox.rows.iter().copied()),
    ),
    gauge(
        "outbox_held",
        "Rows of the outbox that wait for somebody who would hear them",
        |s| one(s.outbox.held),
    ),
    gauge(
        "outbox_dead_letters",
        "Dead letters in the outbox, counted up to 10000",
        |s| one(s.outbox.dead_letters),
    ),
    gauge(
        "php_workers",
        "PHP processes that run and are ready, by pool: the path of the first [[application]] rule that they answer by",
        |s| by_pool(s, |php| php.running),
    ),
    gauge(
        "php_workers_failing",
        "PHP workers whose processes end before they handle anything; connections that need one are closed with 1013",
        |s| by_pool(s, |php| php.breakers_open),
    ),
    counter("php_worker_ends", "PHP processes that ended, by why", |s| {
        by_pool_and(&["pool", "reason"], s, |php| &php.ends)
    }),
    gauge(
        "php_events_waiting",
        "Events that wait for a PHP process",
        |s| by_pool(s, |php| wide(php.waiting)),
    ),
    counter("php_events", "Events handled by PHP processes", |s| {
        by_pool(s, |php| php.events)
    }),
    counter(
        "php_events_failed",
        "Events whose PHP process ended while it was handling them; they are not tried again",
        |s| by_pool(s, |php| php.events_failed),
    ),
    counter(
        "php_events_dropped",
        "Events that were dropped because too many wait or no process starts, by what they were; a connection whose event it was is closed with 1013",
        |s| by_pool_and(&["pool", "event"], s, |php| &php.dropped),
    ),
    counter(
        "php_commands_refused",
        "Commands of PHP processes that could not be carried out; the log has each",
        |s| by_pool(s, |php| php.commands_refused),
    ),
    gauge("fpm_connections", "Connections to php-fpm", |s| {
        let pools = s.calls.iter().filter(|([to, _], _)| to == "fpm");
        by(&["pool"], pools.map(|([_, pool], fpm)| (pool, wide(fpm.connections))))
    }),
    gauge(
        "call_events_waiting",
        "Events that wait for a call of the handlers, by who is called, php-fpm or the webhook, and pool",
        |s| by_call(s, |counts| wide(counts.waiting)),
    ),
    counter(
        "call_events",
        "Events for handlers that are called, by who is called and what became of them: handled; failed with their call; \
         dropped because too many wait, and their connection closed with 1013",
        |s| {
            let results = |([to, pool], counts): &([String; 2], CallCounts)| {
                [
                    ("handled", counts.handled),
                    ("failed", counts.failed),
                    ("dropped", counts.dropped),
                ]
                .map(|(result, value)| (vec![to.clone(), pool.clone(), result.to_owned()], value))
            };
            let values = s.calls.iter().flat_map(results);
            Samples::By(&["to", "pool", "result"], values.collect())
        },
    ),
    counter(
        "call_answers_wrong",
        "Answers of handlers that could not be carried out in full, by who was called; the log has each",
        |s| by_call(s, |counts| counts.wrong),
    ),
];
