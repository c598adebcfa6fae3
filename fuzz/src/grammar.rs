//! `Sec-WebSocket-Extensions` read by its grammar, a byte at a time (RFC 6455 §9.1), without a look
//! at the crate under test.

/// Whether it is `1#extension`, with the spaces and empty elements that RFC 2616 §2.1 allows.
pub fn is_extension_list(value: &[u8]) -> bool {
    let mut rest = Rest(value);
    let mut extensions = 0;
    loop {
        rest.spaces();
        if rest.token() {
            extensions += 1;
            if !rest.parameters() {
                return false;
            }
        }
        if rest.0.is_empty() {
            return extensions > 0;
        }
        if !rest.take(b',') {
            return false;
        }
    }
}

/// What has not been read.
struct Rest<'v>(&'v [u8]);

impl Rest<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let there = self.0.first() == Some(&byte);
        if there {
            self.0 = &self.0[1..];
        }
        there
    }

    fn spaces(&mut self) {
        while self.take(b' ') || self.take(b'\t') {}
    }

    fn token(&mut self) -> bool {
        let len = self.0.iter().take_while(|byte| is_token(**byte)).count();
        self.0 = &self.0[len..];
        len > 0
    }

    /// `*( ";" extension-param )`
    fn parameters(&mut self) -> bool {
        self.spaces();
        while self.take(b';') {
            self.spaces();
            if !self.token() {
                return false;
            }
            self.spaces();
            if self.take(b'=') {
                self.spaces();
                if !self.token() && !self.quoted_token() {
                    return false;
                }
                self.spaces();
            }
        }
        true
    }

    fn quoted_token(&mut self) -> bool {
        if !self.take(b'"') {
            return false;
        }
        let mut len = 0;
        while !self.take(b'"') {
            let _ = self.take(b'\\');
            match self.0.split_first() {
                Some((byte, rest)) if is_token(*byte) => self.0 = rest,
                _ => return false,
            }
            len += 1;
        }
        len > 0
    }
}

/// RFC 2616 §2.2: any CHAR but controls and separators.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}
