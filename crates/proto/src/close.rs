//! Close codes: the one table of what each means, whether it may travel in a Close frame, and
//! whether a client that was given it should connect again (RFC 6455 §7.4, IANA registry).

use core::fmt;

/// The number that says why a connection ended (RFC 6455 §7.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection was fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: a rule of the protocol was broken.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of message (text, binary) that the receiver does not take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the Close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a rule of the receiver's own was broken.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message over the receiver's limit.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client needs an extension that the server did not agree to.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met a condition it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: TLS failed. Never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// The code with this number. Any number can be one; whether it may be used is for
    /// [`is_sendable`](Self::is_sendable) and [`is_receivable`](Self::is_receivable) to say.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether it may stand in a Close frame of ours.
    pub const fn is_sendable(self) -> bool {
        self.row().on_wire
    }

    /// Whether it may stand in a Close frame of the peer. Numbers that the registry keeps for
    /// local use (1004, 1005, 1006, 1015) or has not given out may not (RFC 6455 §7.4.2).
    pub const fn is_receivable(self) -> bool {
        self.row().on_wire
    }

    /// What it means, in a few words for people.
    pub const fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// Whether a client that was closed with this code should connect again, after a pause.
    ///
    /// In the free ranges the convention is: 3000-3499 and 4000-4499 connect again, 3500-3999 and
    /// 4500-4999 stay away.
    pub const fn client_reconnects(self) -> bool {
        self.row().client_reconnects
    }

    /// The registry.
    #[rustfmt::skip]
    const fn row(self) -> Row {
        match self.0 {
            //                            on wire, client reconnects
            1000 => row("normal closure",             true,  false),
            1001 => row("going away",                 true,  true),
            1002 => row("protocol error",             true,  false),
            1003 => row("unsupported kind of message", true, false),
            1005 => row("no code given",              false, true),
            1006 => row("ended without a Close frame", false, true),
            1007 => row("text is not UTF-8",          true,  false),
            1008 => row("policy violation",           true,  false),
            1009 => row("message too big",            true,  false),
            1010 => row("extension required",         true,  false),
            1011 => row("internal error",             true,  true),
            1012 => row("service restart",            true,  true),
            1013 => row("try again later",            true,  true),
            1014 => row("bad gateway",                true,  true),
            1015 => row("TLS handshake failed",       false, false),
            3000..=3499 => row("library code, reconnect",     true, true),
            3500..=3999 => row("library code, terminal",      true, false),
            4000..=4499 => row("application code, reconnect", true, true),
            4500..=4999 => row("application code, terminal",  true, false),
            _ => row("unassigned",                    false, false),
        }
    }
}

struct Row {
    meaning: &'static str,
    on_wire: bool,
    client_reconnects: bool,
}

const fn row(meaning: &'static str, on_wire: bool, client_reconnects: bool) -> Row {
    Row {
        meaning,
        on_wire,
        client_reconnects,
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.meaning())
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    /// RFC 6455 §7.4: which numbers may travel, both ways, over the whole range.
    #[test]
    fn codes_on_the_wire() {
        for code in 0..=u16::MAX {
            let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            let code = CloseCode::new(code);
            assert_eq!(code.is_receivable(), allowed, "{code}");
            assert_eq!(code.is_sendable(), allowed, "{code}");
            assert!(!code.meaning().is_empty());
        }
    }

    #[test]
    fn who_reconnects() {
        for code in [
            1001, 1005, 1006, 1011, 1012, 1013, 1014, 3000, 3499, 4000, 4499,
        ] {
            assert!(CloseCode::new(code).client_reconnects(), "{code}");
        }
        for code in [
            0, 999, 1000, 1002, 1003, 1007, 1008, 1009, 1010, 1015, 3500, 4999, 5000,
        ] {
            assert!(!CloseCode::new(code).client_reconnects(), "{code}");
        }
    }
}
