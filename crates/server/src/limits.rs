//! Every limit of the server, in one table: name, default, unit and reason.
//!
//! The protocol's own limits ([`Limits::protocol`]) and those of a request head ([`Limits::head`])
//! belong to `rupor-proto`; everything else is here. A field whose unit is `ms` is in milliseconds.
//! [`Limits::table`] lists all of them, so that documentation can be checked against the code.

use rupor_proto::Config;
use rupor_proto::handshake::HeadLimits;

/// One row of [`Limits::table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRow {
    /// The field's name; those of `protocol` and `head` have that in front and a dot.
    pub name: &'static str,
    /// The value, in `unit`.
    pub value: u64,
    /// What is counted: `ms`, `bytes`, `connections`, …
    pub unit: &'static str,
    /// Why it is there, and what happens at it.
    pub why: &'static str,
}

macro_rules! limits {
    ($($name:ident: $type:ty = $default:expr, $unit:literal, $why:literal;)*) => {
        /// The limits of a server. The defaults are made for a public network.
        ///
        /// ```
        /// let limits = rupor_server::Limits { connections_max: 500, ..Default::default() };
        /// assert_eq!(limits.connections_per_address_max, 100);
        /// ```
        #[derive(Debug, Clone)]
        pub struct Limits {
            /// Messages, fragments, control frames, pings and the closing handshake.
            pub protocol: Config,
            /// The head of a request: bytes, headers, target.
            pub head: HeadLimits,
            $(
                #[doc = $why]
                #[doc = concat!(" Unit: ", $unit, "; default: `", stringify!($default), "`.")]
                pub $name: $type,
            )*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self {
                    protocol: Config::default(),
                    head: HeadLimits::default(),
                    $($name: $default,)*
                }
            }
        }

        impl Limits {
            fn set_own(&mut self, name: &str, value: u64) -> bool {
                match name {
                    $(stringify!($name) => assign(&mut self.$name, value),)*
                    _ => false,
                }
            }

            fn own_rows(&self) -> Vec<LimitRow> {
                vec![$(LimitRow {
                    name: stringify!($name),
                    value: self.$name as u64,
                    unit: $unit,
                    why: $why,
                },)*]
            }
        }
    };
}

limits! {
    opening_timeout_ms: u32 = 10_000, "ms",
        "From accept to the end of the request head, TLS handshake included. Then the connection is cut (408 once there is something to answer).";
    head_bytes_per_second_min: u32 = 256, "bytes per second",
        "Who sends a request head more slowly than this, after `head_grace_ms`, is cut. 0: off.";
    head_grace_ms: u32 = 2_000, "ms",
        "How long a request head may be slower than `head_bytes_per_second_min`.";
    admit_timeout_ms: u32 = 5_000, "ms",
        "How long `Admit` may take to decide. Then the upgrade is refused with 503.";
    linger_ms: u32 = 1_000, "ms",
        "How long a peer that was refused or closed may take to read the answer before the connection is cut.";
    lingering_max: usize = 256, "connections",
        "How many refused peers at once are given that time; the others are cut at once.";
    listen_backlog: i32 = 4_096, "connections",
        "TCP's queue of connections that are not accepted yet; the system may have a lower limit of its own.";
    connections_max: usize = 100_000, "connections",
        "Connections of the whole server, HTTP and WebSocket. At it new ones get 503.";
    openings_max: usize = 10_000, "connections",
        "Connections that are not WebSockets (yet): TLS handshakes, request heads, HTTP. At it new ones get 503.";
    connections_per_address_max: usize = 100, "connections",
        "Connections of one address (IPv6: one /64; behind a trusted proxy the client's). Loopback and trusted proxies are exempt. At it new ones get 503. 0: off.";
    handshakes_per_address_per_second: u32 = 20, "upgrades per second",
        "WebSocket upgrades of one address (IPv6: one /64; behind a trusted proxy the client's), with one second's worth of burst. Loopback and trusted proxies are exempt. At it: 503. 0: off.";
    accepts_per_second: u32 = 1_000, "connections per second",
        "New connections of the whole server, with one second's worth of burst. Loopback and trusted proxies are exempt. At it: 503. 0: off.";
    http_idle_timeout_ms: u32 = 60_000, "ms",
        "An HTTP/1.1 connection on which no byte moved for so long is closed; so is an HTTP/2 connection without streams, and a stream of a request that does not move.";
    http2_streams_max: u32 = 100, "streams",
        "WebSockets and requests that one HTTP/2 connection has open at a time. Over it the stream is refused (REFUSED_STREAM). Each WebSocket also counts as a connection.";
    http2_window_bytes: u32 = 65_536, "bytes",
        "What a peer may send ahead on one HTTP/2 stream before it is read, and `http2_streams_max` times as much on the connection. Over it HTTP/2 itself ends the stream (FLOW_CONTROL_ERROR).";
    http2_unsent_bytes: u32 = 65_536, "bytes",
        "What may wait for the window of one HTTP/2 stream between a worker and HTTP/2. Over it a WebSocket's bytes wait in its backlog.";
    http2_resets_max: u32 = 1_000, "streams",
        "Streams of one HTTP/2 connection that the peer resets before they are answered, and streams that break HTTP/2's rules. Over it the connection is ended (ENHANCE_YOUR_CALM).";
    http2_ping_interval_ms: u32 = 30_000, "ms",
        "An HTTP/2 connection is sent a PING so often. 0: off.";
    http2_ping_timeout_ms: u32 = 10_000, "ms",
        "An HTTP/2 connection that does not acknowledge a PING for so long is ended.";
    user_timeout_ms: u32 = 20_000, "ms",
        "TCP_USER_TIMEOUT: sent bytes that the peer's system does not acknowledge for so long end the connection (Linux). 0: the system's.";
    notsent_lowat_bytes: u32 = 512 * 1024, "bytes",
        "TCP_NOTSENT_LOWAT: with so many bytes that TCP has not sent yet, the system takes no more of a connection's (Linux), so that the rest can still be left out or overtaken; 128 KiB once something waits that may be left out. 0: the system's.";
    receive_buffer_bytes: usize = 512 * 1024, "bytes",
        "A worker's one receive buffer, shared by its connections.";
    reads_per_turn_max: u32 = 4, "reads",
        "Full receive buffers that one connection is read in one turn of the loop, before the others have theirs.";
    backlog_soft_bytes: usize = 256 * 1024, "bytes",
        "Unsent bytes of one connection over which the policy for slow readers of a channel begins (`slow`). Not over `backlog_bytes_max`.";
    backlog_soft_frames: usize = 1_024, "frames",
        "The same in frames. Not over `backlog_frames_max`.";
    backlog_bytes_max: usize = 1024 * 1024, "bytes",
        "Unsent bytes of one connection; one message over it is taken when nothing else is queued. At it the peer is dropped as slow.";
    backlog_frames_max: usize = 4_096, "frames",
        "Unsent frames of one connection. At it the peer is dropped as slow.";
    backlog_pause_bytes: usize = 64 * 1024, "bytes",
        "A connection with more unsent bytes than this is not read from until it has less.";
    backlog_stall_ms: u32 = 10_000, "ms",
        "A peer that takes none of its unsent bytes for so long is dropped as slow.";
    backlog_budget_bytes: u64 = 0, "bytes",
        "Unsent bytes of the whole server. Over it the fattest connections are dropped as slow. 0: half of the memory limit of the control group or machine.";
    messages_per_second: u32 = 100, "messages per second",
        "Inbound messages of one connection. Over it and `rate_burst_seconds` it is not read from for a while. 0: off.";
    bytes_per_second: u32 = 256 * 1024, "bytes per second",
        "Inbound bytes of one connection. Over it and `rate_burst_seconds` it is not read from for a while. 0: off.";
    rate_burst_seconds: u32 = 4, "seconds",
        "How many seconds' worth of messages and bytes may come at once.";
    rate_timeout_ms: u32 = 10_000, "ms",
        "A connection that is over its inbound rate for so long is closed with 1008. 0: it is only slowed down.";
    subscriptions_max: usize = 128, "topics",
        "Topics that one connection is subscribed to. At it `subscribe` says false.";
    topics_max: usize = 1_000_000, "topics",
        "Topics with a subscriber, in one worker. At it `subscribe` to a new one says false.";
    topic_bytes_max: usize = 200, "bytes",
        "A topic's name. Over it `subscribe` says false.";
    inbox_commands_max: usize = 65_536, "commands",
        "Commands that wait for one worker. Over it `InboxFull`, and nothing of what was submitted is done.";
    adoptions_max: usize = 1_024, "connections",
        "Opened connections that wait for one worker. At it upgrades get 503.";
}

/// Assigns if the type can hold the value.
fn assign<T: TryFrom<u64>>(limit: &mut T, value: u64) -> bool {
    T::try_from(value).map(|value| *limit = value).is_ok()
}

impl Limits {
    /// Sets a limit by its name in [`table`](Self::table), for configuration files. False, and
    /// nothing done, if there is no such limit or its type cannot hold the value.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let (head, protocol) = (&mut self.head, &mut self.protocol);
        match name {
            "head.head_bytes_max" => assign(&mut head.head_bytes_max, value),
            "head.headers_max" => assign(&mut head.headers_max, value),
            "head.target_bytes_max" => assign(&mut head.target_bytes_max, value),
            "protocol.limits.message_bytes_max" => {
                assign(&mut protocol.limits.message_bytes_max, value)
            }
            "protocol.limits.frames_per_message_max" => {
                assign(&mut protocol.limits.frames_per_message_max, value)
            }
            "protocol.limits.message_time_max_ms" => {
                assign(&mut protocol.limits.message_time_max_ms, value)
            }
            "protocol.limits.control_frames_per_second" => {
                assign(&mut protocol.limits.control_frames_per_second, value)
            }
            "protocol.limits.control_frames_burst" => {
                assign(&mut protocol.limits.control_frames_burst, value)
            }
            "protocol.ping_interval_ms" => assign(&mut protocol.ping_interval_ms, value),
            "protocol.pong_timeout_ms" => assign(&mut protocol.pong_timeout_ms, value),
            "protocol.close_timeout_ms" => assign(&mut protocol.close_timeout_ms, value),
            name => self.set_own(name, value),
        }
    }

    /// Every limit with its value here, those of `protocol` and `head` too.
    pub fn table(&self) -> Vec<LimitRow> {
        let mut rows = self.head_rows();
        rows.extend(self.protocol_rows());
        rows.extend(self.own_rows());
        rows
    }

    #[rustfmt::skip]
    fn head_rows(&self) -> Vec<LimitRow> {
        let head = &self.head;
        vec![
            row("head.head_bytes_max", head.head_bytes_max as u64, "bytes",
                "A request's line and headers. Over it: 431."),
            row("head.headers_max", head.headers_max as u64, "headers",
                "Headers of a request. Over it: 431."),
            row("head.target_bytes_max", head.target_bytes_max as u64, "bytes",
                "A request's target. Over it: 414."),
        ]
    }

    #[rustfmt::skip]
    fn protocol_rows(&self) -> Vec<LimitRow> {
        let (protocol, limits) = (&self.protocol, &self.protocol.limits);
        vec![
            row("protocol.limits.message_bytes_max", limits.message_bytes_max as u64, "bytes",
                "An inbound message. Over it: 1009."),
            row("protocol.limits.frames_per_message_max", limits.frames_per_message_max.into(), "frames",
                "Frames of one inbound message; an empty one that is not the last counts double. Over it: 1008."),
            row("protocol.limits.message_time_max_ms", limits.message_time_max_ms.into(), "ms",
                "From an inbound message's first byte to its last. Over it: 1008."),
            row("protocol.limits.control_frames_per_second", limits.control_frames_per_second.into(), "frames per second",
                "Inbound pings and pongs nobody asked for. Over it and the burst: 1008. 0: off."),
            row("protocol.limits.control_frames_burst", limits.control_frames_burst.into(), "frames",
                "Inbound pings and pongs that may come at once."),
            row("protocol.ping_interval_ms", protocol.ping_interval_ms.into(), "ms",
                "A ping is sent so often, give or take a tenth. 0: off."),
            row("protocol.pong_timeout_ms", protocol.pong_timeout_ms.into(), "ms",
                "A ping that nothing follows for so long ends the connection."),
            row("protocol.close_timeout_ms", protocol.close_timeout_ms.into(), "ms",
                "How long the peer may take to answer a close frame."),
        ]
    }
}

fn row(name: &'static str, value: u64, unit: &'static str, why: &'static str) -> LimitRow {
    LimitRow {
        name,
        value,
        unit,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn every_row_of_the_table_can_be_set() {
        for row in Limits::default().table() {
            let mut limits = Limits::default();
            assert!(limits.set(row.name, row.value + 1), "{}", row.name);
            for after in limits.table() {
                let before = Limits::default()
                    .table()
                    .into_iter()
                    .find(|r| r.name == after.name);
                let changed = u64::from(after.name == row.name);
                assert_eq!(
                    after.value,
                    before.unwrap().value + changed,
                    "{}",
                    after.name
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_held_is_not_set() {
        let mut limits = Limits::default();
        assert!(!limits.set("nonsense", 1));
        assert!(!limits.set("opening_timeout_ms", u64::from(u32::MAX) + 1));
        assert_eq!(
            limits.opening_timeout_ms,
            Limits::default().opening_timeout_ms
        );
    }
}
