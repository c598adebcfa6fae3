//! Every close code that the gateway itself uses: one table.
//!
//! Codes of the protocol (1000 to 1015) are in `rupor_proto::CloseCode`. Of the range for libraries (3000 to 3999,
//! RFC 6455 §7.4.2) the gateway's keep to its convention: up to 3499 a client connects again, from 3500 it stays away.

use super::PublishError;
use rupor_proto::CloseCode;

/// Why the gateway closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// The close code.
    pub(crate) code: CloseCode,
    /// A word for programs; the close reason begins with it.
    pub(crate) name: &'static str,
    /// What happened and what to do; the close reason is `name: meaning`.
    pub(crate) meaning: &'static str,
    /// Whether a client should connect again, after a pause.
    pub(crate) client_reconnects: bool,
}

impl Closing {
    /// The reason as it is sent: at most 123 bytes (RFC 6455 §5.5).
    pub(crate) fn reason(&self) -> String {
        format!("{}: {}", self.name, self.meaning)
    }
}

/// Whether an application may close with this: 1000, 3000 to 4999 (RFC 6455 §7.4), and a reason of 123 bytes (§5.5).
pub(super) fn check_close(code: u16, reason: &str) -> Result<(), PublishError> {
    if !matches!(code, 1000 | 3000..=4999) {
        return Err(PublishError::BadCloseCode);
    }
    if reason.len() > rupor_proto::Connection::CLOSE_REASON_BYTES_MAX {
        return Err(PublishError::CloseReasonTooLong);
    }
    Ok(())
}

macro_rules! closings {
    ($($constant:ident = $code:literal, $name:literal, $reconnects:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub(crate) const $constant: Closing = Closing {
                code: CloseCode::new($code),
                name: $name,
                meaning: $meaning,
                client_reconnects: $reconnects,
            };
        )*
        /// All of them.
        #[cfg(test)]
        pub(crate) const TABLE: &[Closing] = &[$($constant),*];
    };
}

closings! {
    // constant        code  name                    reconnects  meaning
    OVERLOADED       = 1013, "overloaded",           true,  "the server has too much to do; connect again later";
    EXPIRED          = 3000, "expired",              true,  "the identity has expired; connect again with a new token";
    IDENTIFY_TIMEOUT = 3001, "identify_timeout",     true,  "no token came in time; send it as the first message";
    USER_CHANGED     = 3002, "user_changed",         true,  "the session is another user's now; connect again";
    UNAUTHORIZED     = 3500, "unauthorized",         false, "the token was not accepted; get another one first";
    FORBIDDEN        = 3501, "forbidden",            false, "a channel in the address is not for this user";
    TOO_MANY         = 3502, "too_many_connections", false, "this user has too many connections; close one first";
    SIGNED_OUT       = 3504, "signed_out",           false, "the session is over; sign in, or load the page again";
    TOO_MANY_CHANNELS = 3503, "too_many_channels",   false, "there is no room for the channels in the address";
}

#[cfg(test)]
mod tests {
    use super::TABLE;
    use std::collections::HashSet;

    #[test]
    fn rows_are_whole_and_keep_to_the_convention() {
        let codes: HashSet<_> = TABLE.iter().map(|row| row.code).collect();
        let names: HashSet<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!((codes.len(), names.len()), (TABLE.len(), TABLE.len()));
        for row in TABLE {
            assert!(row.code.is_sendable(), "{row:?}");
            assert_eq!(
                row.client_reconnects,
                row.code.client_reconnects(),
                "{row:?}"
            );
            assert!(row.reason().len() <= 123, "{row:?}");
        }
    }
}
