//! What becomes of publications that a slow reader has not taken.

use std::sync::Arc;

/// What happens to a publication that would wait behind more than
/// [`Limits::backlog_soft_bytes`](crate::Limits::backlog_soft_bytes) or
/// [`Limits::backlog_soft_frames`](crate::Limits::backlog_soft_frames) of one connection. Others
/// receive it all the same.
///
/// Only publications to a topic are left out, never what is sent to a connection directly, never one
/// whose first byte was written, never control frames. What was left out is counted
/// ([`Stats::left_out`](crate::Stats::left_out)), and the handler is told when the backlog has
/// become small again ([`Handler::on_left_out`](crate::Handler::on_left_out)). Whatever the policy, a
/// peer that takes nothing at all is dropped after
/// [`Limits::backlog_stall_ms`](crate::Limits::backlog_stall_ms).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum SlowPolicy {
    /// Nothing is left out. At [`Limits::backlog_bytes_max`](crate::Limits::backlog_bytes_max) or
    /// [`Limits::backlog_frames_max`](crate::Limits::backlog_frames_max) the connection is dropped
    /// with [`CLOSE_SLOW`](crate::CLOSE_SLOW).
    #[default]
    Disconnect,
    /// It is left out, and what waits stays.
    DropNewest,
    /// The oldest of its topic that wait are left out, as many as it takes. Where none is left and
    /// the backlog is full, it is left out itself.
    DropOldest,
    /// All of its topic with the same key that wait are left out: only the newest of each key stays.
    /// Where there are so many keys that the backlog is full, the connection is dropped.
    Latest {
        /// What it is the newest state of; `None`: of the topic.
        key: Option<Arc<str>>,
    },
}
