//! What of permessage-deflate is offered and agreed to (RFC 7692 §7.1).

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::handshake::extensions::{self, Extension, Malformed};

pub(super) const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The smallest window that is agreed to. RFC 7692 knows 8 too, but zlib, with which most peers
/// compress, takes 9 when it is asked for 8.
const WINDOW_BITS_MIN: u8 = 9;
/// The largest window of DEFLATE: 32 KiB.
const WINDOW_BITS_MAX: u8 = 15;

/// How permessage-deflate is agreed to and used. Nothing is, unless a caller asks for it.
///
/// **Compression and secrets.** The size of a compressed message tells an observer whether two
/// parts of it are alike, TLS or not (CRIME, BREACH). A message that has a secret beside text that
/// others choose must be sent with [`Connection::send`](crate::Connection::send), which never
/// compresses; with context takeover that holds for secrets in *any* message of a connection that
/// also carries others' text. So takeover is off by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    /// The server compresses each message on its own. Default: true.
    pub server_no_context_takeover: bool,
    /// The client compresses each message on its own. Default: true. A server also asks for it
    /// when the client does not let its window be limited to
    /// [`client_window_bits_max`](Self::client_window_bits_max).
    pub client_no_context_takeover: bool,
    /// Base-2 logarithm of the window that the server compresses with, 9 to 15; with context
    /// takeover a connection keeps that many bytes. Default: 12, 4 KiB.
    pub server_window_bits_max: u8,
    /// The same for the client's window.
    pub client_window_bits_max: u8,
    /// Messages of fewer payload bytes are sent plain where each is compressed on its own.
    /// Default: 256.
    pub message_bytes_min: u32,
    /// The same where context is taken over, which makes short messages worth while. Default: 32.
    pub takeover_message_bytes_min: u32,
    /// Send compressed all that does not become shorter, for conformance suites that cannot read a
    /// plain message then. Default: false.
    pub even_if_longer: bool,
    /// How hard to try, 1 to 9. Default: 6.
    pub level: u8,
    /// A client whose `User-Agent` contains one of these gets no compression. The default has
    /// Safari 15.0 to 15.3, which breaks on it, and programs that use Apple's network stack
    /// directly.
    pub user_agents_vetoed: Vec<String>,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        let vetoed = [
            "Version/15.0",
            "Version/15.1",
            "Version/15.2",
            "Version/15.3",
            "CFNetwork/",
        ];
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_window_bits_max: 12,
            client_window_bits_max: 12,
            message_bytes_min: 256,
            takeover_message_bytes_min: 32,
            even_if_longer: false,
            level: 6,
            user_agents_vetoed: vetoed.into_iter().map(String::from).collect(),
        }
    }
}

/// One well-formed offer of permessage-deflate (RFC 7692 §7.1): what the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateOffer {
    /// The server is asked to compress each message on its own.
    pub server_no_context_takeover: bool,
    /// The client says that it will compress each message on its own.
    pub client_no_context_takeover: bool,
    /// The server is asked to use no larger window, 8 to 15.
    pub server_max_window_bits: Option<u8>,
    /// The client lets the server limit its window, and will use no larger one than this, 8 to 15.
    /// (15 where the client gave no number.)
    pub client_max_window_bits: Option<u8>,
}

/// permessage-deflate as both sides agreed to it. It comes out of a handshake only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateAgreement {
    pub(super) server: Direction,
    pub(super) client: Direction,
    pub(super) message_bytes_min: u32,
    pub(super) takeover_message_bytes_min: u32,
    pub(super) even_if_longer: bool,
    pub(super) level: u8,
    /// Whether the response names the windows.
    server_window_named: bool,
    client_window_named: bool,
}

/// What one side may do when it compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Direction {
    pub(super) takeover: bool,
    /// What was agreed to.
    pub(super) window_bits: u8,
    /// What we use if it is our side: never more.
    pub(super) own_window_bits: u8,
}

impl DeflateConfig {
    /// The server's answer: the first of the offers, in the client's order, that can be agreed to.
    /// `None`: no compression, also for a `user_agent` that is listed as
    /// [vetoed](Self::user_agents_vetoed).
    ///
    /// An offer that limits a window to 8 bits is declined: zlib uses 9 when it is asked for 8.
    pub fn accept(
        &self,
        offers: &[DeflateOffer],
        user_agent: Option<&str>,
    ) -> Option<DeflateAgreement> {
        if user_agent.is_some_and(|agent| self.vetoes(agent)) {
            return None;
        }
        offers.iter().find_map(|offer| self.accept_offer(offer))
    }

    fn vetoes(&self, user_agent: &str) -> bool {
        let listed = |part: &String| !part.is_empty() && user_agent.contains(part.as_str());
        self.user_agents_vetoed.iter().any(listed)
    }

    fn accept_offer(&self, offer: &DeflateOffer) -> Option<DeflateAgreement> {
        let limits = [offer.server_max_window_bits, offer.client_max_window_bits];
        if limits
            .into_iter()
            .flatten()
            .any(|bits| bits < WINDOW_BITS_MIN)
        {
            return None;
        }
        let server_bits = offer.server_max_window_bits.unwrap_or(WINDOW_BITS_MAX);
        let client_bits_max = window_bits(self.client_window_bits_max);
        let client_bits = offer
            .client_max_window_bits
            .map_or(WINDOW_BITS_MAX, |bits| bits.min(client_bits_max));
        let own_window_bits = window_bits(self.server_window_bits_max).min(server_bits);
        Some(DeflateAgreement {
            server: Direction {
                takeover: !(offer.server_no_context_takeover || self.server_no_context_takeover),
                // Where the response must name the window, it names the one that is used.
                window_bits: match offer.server_max_window_bits {
                    Some(_) => own_window_bits,
                    None => WINDOW_BITS_MAX,
                },
                own_window_bits,
            },
            client: Direction {
                takeover: !(offer.client_no_context_takeover
                    || self.client_no_context_takeover
                    || client_bits > client_bits_max),
                window_bits: client_bits,
                own_window_bits: client_bits,
            },
            server_window_named: offer.server_max_window_bits.is_some(),
            client_window_named: offer.client_max_window_bits.is_some(),
            ..self.agreement()
        })
    }

    /// The value of `Sec-WebSocket-Extensions` that offers this, for a client.
    pub(crate) fn offer(&self) -> String {
        let server_bits = window_bits(self.server_window_bits_max);
        let client_bits = window_bits(self.client_window_bits_max);
        let mut value = String::from(NAME);
        write_flag(
            &mut value,
            SERVER_NO_CONTEXT_TAKEOVER,
            self.server_no_context_takeover,
        );
        write_flag(
            &mut value,
            CLIENT_NO_CONTEXT_TAKEOVER,
            self.client_no_context_takeover,
        );
        if server_bits < WINDOW_BITS_MAX {
            write_bits(&mut value, SERVER_MAX_WINDOW_BITS, server_bits);
        }
        if client_bits < WINDOW_BITS_MAX {
            write_bits(&mut value, CLIENT_MAX_WINDOW_BITS, client_bits);
        } else {
            write_flag(&mut value, CLIENT_MAX_WINDOW_BITS, true);
        }
        value
    }

    /// Checks the server's answer to [`offer`](Self::offer) (RFC 7692 §7.1): what was asked for
    /// must be granted, windows may be smaller than asked for, and nothing else may be there.
    pub(crate) fn check_response(&self, line: &[u8]) -> Option<DeflateAgreement> {
        let mut extensions = extensions::extensions(line);
        let granted = Parameters::of_response(&extensions.next()?.ok()?).ok()??;
        if extensions.next().is_some() {
            return None;
        }
        let server_bits_max = window_bits(self.server_window_bits_max);
        let client_bits_max = window_bits(self.client_window_bits_max);
        let server_bits = granted.server_bits.unwrap_or(WINDOW_BITS_MAX);
        let client_bits = granted.client_bits.unwrap_or(client_bits_max);
        let fits = |bits: u8, max: u8| (WINDOW_BITS_MIN..=max).contains(&bits);
        if !fits(server_bits, server_bits_max)
            || !fits(client_bits, client_bits_max)
            || (self.server_no_context_takeover && !granted.server_no_context_takeover)
        {
            return None;
        }
        Some(DeflateAgreement {
            server: Direction {
                takeover: !granted.server_no_context_takeover,
                window_bits: server_bits,
                own_window_bits: server_bits,
            },
            client: Direction {
                takeover: !(granted.client_no_context_takeover || self.client_no_context_takeover),
                window_bits: client_bits,
                own_window_bits: client_bits,
            },
            server_window_named: granted.server_bits.is_some(),
            client_window_named: granted.client_bits.is_some(),
            ..self.agreement()
        })
    }

    /// The parts of an agreement that the peer has no say in.
    fn agreement(&self) -> DeflateAgreement {
        let widest = Direction {
            takeover: false,
            window_bits: WINDOW_BITS_MAX,
            own_window_bits: WINDOW_BITS_MAX,
        };
        DeflateAgreement {
            server: widest,
            client: widest,
            message_bytes_min: self.message_bytes_min,
            takeover_message_bytes_min: self.takeover_message_bytes_min,
            even_if_longer: self.even_if_longer,
            level: self.level.clamp(1, 9),
            server_window_named: false,
            client_window_named: false,
        }
    }
}

/// A configured window, brought into the range that is agreed to.
fn window_bits(bits: u8) -> u8 {
    bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX)
}

impl DeflateAgreement {
    /// Whether the server's messages build on those before.
    pub fn server_context_takeover(&self) -> bool {
        self.server.takeover
    }

    /// Whether the client's messages build on those before.
    pub fn client_context_takeover(&self) -> bool {
        self.client.takeover
    }

    /// Base-2 logarithm of the window that the server may use.
    pub fn server_max_window_bits(&self) -> u8 {
        self.server.window_bits
    }

    /// Base-2 logarithm of the window that the client may use.
    pub fn client_max_window_bits(&self) -> u8 {
        self.client.window_bits
    }

    /// Whether a server may answer this offer with it (RFC 7692 §7.1).
    pub(crate) fn answers(&self, offer: &DeflateOffer) -> bool {
        let window = offer
            .server_max_window_bits
            .is_none_or(|bits| self.server_window_named && self.server.window_bits <= bits);
        let client_window = match offer.client_max_window_bits {
            Some(bits) => !self.client_window_named || self.client.window_bits <= bits,
            None => !self.client_window_named,
        };
        window && client_window && !(offer.server_no_context_takeover && self.server.takeover)
    }
}

impl fmt::Display for DeflateAgreement {
    /// The value of `Sec-WebSocket-Extensions` in the server's response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = String::from(NAME);
        write_flag(
            &mut value,
            SERVER_NO_CONTEXT_TAKEOVER,
            !self.server.takeover,
        );
        write_flag(
            &mut value,
            CLIENT_NO_CONTEXT_TAKEOVER,
            !self.client.takeover,
        );
        if self.server_window_named {
            write_bits(&mut value, SERVER_MAX_WINDOW_BITS, self.server.window_bits);
        }
        if self.client_window_named {
            write_bits(&mut value, CLIENT_MAX_WINDOW_BITS, self.client.window_bits);
        }
        f.write_str(&value)
    }
}

fn write_flag(value: &mut String, name: &str, set: bool) {
    if set {
        value.push_str("; ");
        value.push_str(name);
    }
}

fn write_bits(value: &mut String, name: &str, bits: u8) {
    use fmt::Write;
    // Writing to a String cannot fail.
    let _ = write!(value, "; {name}={bits}");
}

impl DeflateOffer {
    /// Offers that one upgrade may make and have looked at.
    pub const OFFERS_MAX: usize = 16;

    /// Adds the offers of one header line that can be meant; others are declined by being left out
    /// (RFC 7692 §7). Says how many extensions the line lists.
    pub(crate) fn gather(line: &[u8], offers: &mut Vec<Self>) -> Result<usize, Malformed> {
        let mut count = 0_usize;
        for extension in extensions::extensions(line) {
            count = count.saturating_add(1);
            let asked = Parameters::of_offer(&extension?)?;
            if let Some(asked) = asked.filter(|_| offers.len() < Self::OFFERS_MAX) {
                offers.push(Self {
                    server_no_context_takeover: asked.server_no_context_takeover,
                    client_no_context_takeover: asked.client_no_context_takeover,
                    server_max_window_bits: asked.server_bits,
                    client_max_window_bits: asked.client_bits,
                });
            }
        }
        Ok(count)
    }
}

/// The parameters of RFC 7692 §7.1.1-7.1.2.
#[derive(Clone, Copy, Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

impl Parameters {
    fn of_offer(extension: &Extension<'_>) -> Result<Option<Self>, Malformed> {
        Self::parse(extension, Some(WINDOW_BITS_MAX))
    }

    /// In a response `client_max_window_bits` must have its number (RFC 7692 §7.1.2.2).
    fn of_response(extension: &Extension<'_>) -> Result<Option<Self>, Malformed> {
        Self::parse(extension, None)
    }

    /// `Ok(None)` if it is another extension, or has a parameter that is unknown, there twice, or
    /// has a value that is not allowed (RFC 7692 §7.1). `no_number`: what `client_max_window_bits`
    /// means without one.
    fn parse(extension: &Extension<'_>, no_number: Option<u8>) -> Result<Option<Self>, Malformed> {
        let mut found = (extension.name == NAME.as_bytes()).then(Self::default);
        for parameter in extension.parameters() {
            let (name, value) = parameter?;
            found = found.and_then(|it| it.with(name, value.as_deref(), no_number));
        }
        Ok(found)
    }

    /// With one more parameter, if it may be there.
    fn with(mut self, name: &[u8], value: Option<&[u8]>, no_number: Option<u8>) -> Option<Self> {
        match (core::str::from_utf8(name).ok()?, value) {
            (SERVER_NO_CONTEXT_TAKEOVER, None) if !self.server_no_context_takeover => {
                self.server_no_context_takeover = true;
            }
            (CLIENT_NO_CONTEXT_TAKEOVER, None) if !self.client_no_context_takeover => {
                self.client_no_context_takeover = true;
            }
            (SERVER_MAX_WINDOW_BITS, Some(value)) if self.server_bits.is_none() => {
                self.server_bits = Some(bits(value)?);
            }
            (CLIENT_MAX_WINDOW_BITS, value) if self.client_bits.is_none() => {
                self.client_bits = Some(match value {
                    Some(value) => bits(value)?,
                    None => no_number?,
                });
            }
            _ => return None,
        }
        Some(self)
    }
}

/// 8 to 15, without a leading zero (RFC 7692 §7.1.2).
fn bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit.wrapping_sub(b'0')),
        [b'1', digit @ b'0'..=b'5'] => Some(digit.wrapping_sub(b'0').wrapping_add(10)),
        _ => None,
    }
}
