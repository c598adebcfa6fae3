//! Everything about a connection that can be set: limits on what a peer may do, and deadlines.

/// What one peer may make a connection hold or do. Each limit is inclusive: the value itself is
/// still allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one received message, all its fragments together. Checked from the frame
    /// header, before anything is stored. Of a compressed message it is what comes out, checked
    /// while it is inflated; on the wire an eighth and 64 bytes more are allowed. Over it: close
    /// code 1009.
    pub message_bytes_max: usize,
    /// Data frames of one received message. A zero-length frame that does not finish the message
    /// counts double. Over it: close code 1008.
    pub frames_per_message_max: u32,
    /// Milliseconds from the first byte of a frame or message to its last. Over it: close code
    /// 1008.
    pub message_time_max_ms: u32,
    /// Control frames per second that are refilled into the allowance of
    /// [`control_frames_burst`](Self::control_frames_burst); 0 sets no limit. A Pong that answers
    /// a Ping of ours is not counted. Over it: close code 1008.
    pub control_frames_per_second: u32,
    /// Control frames that may come at once.
    pub control_frames_burst: u32,
}

impl Default for Limits {
    /// 64 KiB, 1024 frames, 30 s, 10 control frames a second and 50 at once.
    fn default() -> Self {
        Self {
            message_bytes_max: 64 * 1024,
            frames_per_message_max: 1024,
            message_time_max_ms: 30_000,
            control_frames_per_second: 10,
            control_frames_burst: 50,
        }
    }
}

/// The settings of a connection; one value is shared by all that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the peer may do.
    pub limits: Limits,
    /// Milliseconds between two Pings of ours, each time up to 10 % more or less so that many
    /// connections do not ping at once. 0: no Pings.
    pub ping_interval_ms: u32,
    /// Milliseconds after a Ping of ours in which at least one byte, of a Pong or anything else,
    /// must arrive.
    pub pong_timeout_ms: u32,
    /// Milliseconds that the peer has to answer our Close frame.
    pub close_timeout_ms: u32,
}

impl Default for Config {
    /// [`Limits::default`], a Ping every 25 s, 10 s for its answer, 5 s for the closing handshake.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            ping_interval_ms: 25_000,
            pong_timeout_ms: 10_000,
            close_timeout_ms: 5_000,
        }
    }
}
