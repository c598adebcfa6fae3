//! The plain dialect: what the site sent is the frame's text, what the browser sends is the application's.

use super::{Address, Answer, Asked, BadRequest, Dialect, Id, Request};
use rupor_proto::{Frame, Message};
use std::borrow::Cow;

/// The plain dialect.
#[derive(Debug)]
pub(super) struct Plain;

impl Dialect for Plain {
    fn decode<'a>(
        &self,
        message: Message<'a>,
        identified: bool,
    ) -> Result<Request<'a>, BadRequest> {
        let asked = match message {
            Message::Text(token) if !identified => Asked::Auth(Cow::Borrowed(token)),
            message => Asked::Application(message),
        };
        Ok(Request { id: None, asked })
    }

    fn publication(&self, _: Address<'_>, text: &str) -> Frame {
        Frame::new(Message::Text(text))
    }

    /// Says nothing: every frame is the site's or the application's.
    fn answer(&self, _: &Answer<'_>, _: Option<&Id>) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_the_text() {
        let address = Address {
            channel: Some("news"),
            publication: Some("7"),
            ..Address::default()
        };
        let frame = Plain.publication(address, "test");
        assert_eq!(frame.as_bytes(), b"\x81\x04test");
    }

    #[test]
    fn the_first_text_of_an_unidentified_connection_is_its_token() {
        let asked = |message, identified| Plain.decode(message, identified).unwrap().asked;
        let text = Message::Text("abc");
        assert_eq!(asked(text, false), Asked::Auth("abc".into()));
        assert_eq!(asked(text, true), Asked::Application(text));
        let binary = Message::Binary(b"abc");
        assert_eq!(asked(binary, false), Asked::Application(binary));
    }
}
