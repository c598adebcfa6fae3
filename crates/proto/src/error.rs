//! What can go wrong, one enum per party at fault: [`PeerError`] is the peer's doing, [`ApiMisuse`]
//! the caller's. (The handshake has its own: [`HandshakeError`](crate::handshake::HandshakeError).)

use core::fmt;

use crate::CloseCode;

/// The rule that the peer broke. It ends the connection (RFC 6455 §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// A reserved bit is set that no negotiated extension gives a meaning (§5.2).
    ReservedBits,
    /// An opcode that the RFC keeps for later, 3-7 or 11-15 (§5.2).
    ReservedOpcode(u8),
    /// A client's frame without a mask (§5.1).
    Unmasked,
    /// A server's frame with a mask (§5.1).
    Masked,
    /// A length in more bytes than it needs (§5.2).
    LengthNotMinimal,
    /// A 64-bit length with its top bit set (§5.2).
    LengthTopBit,
    /// A control frame without FIN (§5.5).
    ControlFragmented,
    /// A control frame of more than 125 payload bytes (§5.5).
    ControlTooLong,
    /// A continuation with no message to continue (§5.4).
    ContinuationWithoutStart,
    /// A new message inside an unfinished one (§5.4).
    MessageInsideMessage,
    /// A Close frame with a payload of one byte (§5.5.1).
    CloseOneByte,
    /// A Close frame with a code that may not travel (§7.4).
    CloseCodeNotAllowed(CloseCode),
    /// A close reason that is not UTF-8 (§5.5.1).
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (§8.1).
    TextNotUtf8,
    /// A compressed message that is not DEFLATE, or not all of it (RFC 7692 §7.2.2).
    DeflateInvalid,
    /// A compressed message that refers to bytes beyond the agreed window, or before its own
    /// beginning though each message was to be compressed on its own (RFC 7692 §7.1).
    DeflateDistance,
    /// A message over [`Limits::message_bytes_max`](crate::Limits::message_bytes_max).
    MessageTooBig,
    /// A message over [`Limits::frames_per_message_max`](crate::Limits::frames_per_message_max).
    TooManyFrames,
    /// A message over [`Limits::message_time_max_ms`](crate::Limits::message_time_max_ms).
    MessageTooSlow,
    /// More control frames than
    /// [`Limits::control_frames_per_second`](crate::Limits::control_frames_per_second) allows.
    TooManyControlFrames,
    /// Nothing came for [`Config::pong_timeout_ms`](crate::Config::pong_timeout_ms) after a Ping.
    PongTimeout,
    /// No Close frame came for
    /// [`Config::close_timeout_ms`](crate::Config::close_timeout_ms) after ours.
    CloseTimeout,
}

impl PeerError {
    /// The close code that names it: what we send, or 1006 where nothing is sent because nobody
    /// answers.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::ReservedOpcode(_)
            | Self::Unmasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::ContinuationWithoutStart
            | Self::MessageInsideMessage
            | Self::CloseOneByte
            | Self::CloseCodeNotAllowed(_)
            | Self::DeflateDistance => CloseCode::PROTOCOL_ERROR,
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 | Self::DeflateInvalid => {
                CloseCode::INVALID_PAYLOAD
            }
            Self::MessageTooBig => CloseCode::TOO_BIG,
            Self::TooManyFrames | Self::MessageTooSlow | Self::TooManyControlFrames => {
                CloseCode::POLICY
            }
            Self::PongTimeout | Self::CloseTimeout => CloseCode::ABNORMAL,
        }
    }

    /// What was wrong, in a few words; it is the reason in our Close frame, so at most 123 bytes.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bit set",
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::Unmasked => "frame from a client is not masked",
            Self::Masked => "frame from a server is masked",
            Self::LengthNotMinimal => "length not in its shortest form",
            Self::LengthTopBit => "top bit of the length is set",
            Self::ControlFragmented => "control frame is fragmented",
            Self::ControlTooLong => "control frame over 125 bytes",
            Self::ContinuationWithoutStart => "continuation without a message",
            Self::MessageInsideMessage => "new message inside an unfinished one",
            Self::CloseOneByte => "close payload of one byte",
            Self::CloseCodeNotAllowed(_) => "close code not allowed",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
            Self::TextNotUtf8 => "text is not UTF-8",
            Self::DeflateInvalid => "compressed message is not DEFLATE",
            Self::DeflateDistance => "compressed message refers beyond its window",
            Self::MessageTooBig => "message too big",
            Self::TooManyFrames => "too many frames in a message",
            Self::MessageTooSlow => "message took too long",
            Self::TooManyControlFrames => "too many control frames",
            Self::PongTimeout => "no answer to a ping",
            Self::CloseTimeout => "no answer to a close",
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedOpcode(opcode) => write!(f, "{}: {opcode}", self.as_str()),
            Self::CloseCodeNotAllowed(code) => write!(f, "{}: {code}", self.as_str()),
            _ => f.write_str(self.as_str()),
        }
    }
}

impl core::error::Error for PeerError {}

/// A call that the state of the connection, or the protocol, does not allow. Nothing was written
/// and nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The connection is closing or closed: no more may be sent.
    NotOpen,
    /// A whole message while one that was begun with
    /// [`send_fragment`](crate::Connection::send_fragment) is unfinished (RFC 6455 §5.4).
    FragmentUnfinished,
    /// A fragment of another kind than the message it belongs to.
    KindChanged,
    /// A fragment that makes its text message something other than UTF-8.
    TextNotUtf8,
    /// A control frame payload over 125 bytes (RFC 6455 §5.5).
    ControlTooLong,
    /// A close code that may not be sent (RFC 6455 §7.4).
    CloseCodeNotAllowed(CloseCode),
    /// A close reason over 123 bytes (RFC 6455 §5.5.1).
    CloseReasonTooLong,
    /// A subprotocol that the client did not offer, or that is not a token, or is there twice.
    Subprotocol,
    /// An extension that the client did not offer in this way.
    Extension,
    /// A [`Frame`](crate::Frame) on a client's connection, whose frames must be masked.
    FrameUnmasked,
    /// A header name that is not a token, or that the handshake writes itself.
    HeaderName,
    /// A header value (or host, or request target) with a byte that would end or break the line.
    HeaderValue,
}

impl fmt::Display for ApiMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "the connection is not open",
            Self::FragmentUnfinished => "a fragmented message is unfinished",
            Self::KindChanged => "a fragment of another kind than its message",
            Self::TextNotUtf8 => "fragments of a text message that are not UTF-8",
            Self::ControlTooLong => "control frame payload over 125 bytes",
            Self::CloseCodeNotAllowed(_) => "a close code that may not be sent",
            Self::CloseReasonTooLong => "close reason over 123 bytes",
            Self::Subprotocol => "a subprotocol that was not offered or is no token",
            Self::Extension => "an extension that was not offered in this way",
            Self::FrameUnmasked => "a client cannot send unmasked frames",
            Self::HeaderName => "a header name that is reserved or no token",
            Self::HeaderValue => "a header value with forbidden bytes",
        })
    }
}

impl core::error::Error for ApiMisuse {}
