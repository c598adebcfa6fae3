//! The opening handshake from the client's side (RFC 6455 §4.1), with every part open to change.

use std::net::SocketAddr;

use crate::client::Client;
use crate::http::Response;
use crate::link::{Link, connect};

/// The `Sec-WebSocket-Key` that is sent: the sample of RFC 6455 §1.3.
pub const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The `Sec-WebSocket-Accept` that answers [`SAMPLE_KEY`].
pub const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An upgrade request that is about to be sent.
#[derive(Clone, Debug)]
pub struct Opening {
    address: SocketAddr,
    target: String,
    headers: Vec<(String, String)>,
    early: Vec<u8>,
}

impl Opening {
    /// A correct upgrade request without `Origin` and subprotocols.
    pub fn new(address: SocketAddr, target: &str) -> Self {
        let headers = [
            ("Host", address.to_string().as_str()),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", SAMPLE_KEY),
            ("Sec-WebSocket-Version", "13"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        Self {
            address,
            target: target.to_owned(),
            headers,
            early: Vec::new(),
        }
    }

    /// Sets a header, replacing any of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header line even if there is one of that name already.
    pub fn another_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Sets `Origin`, as every browser does.
    pub fn origin(self, origin: &str) -> Self {
        self.header("Origin", origin)
    }

    /// Offers subprotocols, first choice first.
    pub fn subprotocols(self, offered: &[&str]) -> Self {
        self.header("Sec-WebSocket-Protocol", &offered.join(", "))
    }

    /// Offers permessage-deflate and its parameters, as one value of `Sec-WebSocket-Extensions`.
    pub fn extensions(self, offers: &str) -> Self {
        self.header("Sec-WebSocket-Extensions", offers)
    }

    /// Bytes to send right behind the request, before its answer is there.
    pub fn early(mut self, bytes: &[u8]) -> Self {
        self.early.extend_from_slice(bytes);
        self
    }

    /// The request as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut request = format!("GET {} HTTP/1.1\r\n", self.target);
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        [request.as_bytes(), &self.early].concat()
    }

    /// Sends the request over TCP and expects 101.
    ///
    /// # Panics
    /// When the answer is another one, breaks RFC 6455 §4.1, or does not come in time.
    pub fn open(&self) -> Client {
        self.open_over(connect(self.address))
    }

    /// As [`open`](Self::open), over a stream that is there already, for instance TLS.
    pub fn open_over(&self, link: impl Link + 'static) -> Client {
        let (response, client) = self.ask(link);
        match client {
            Some(client) => client,
            None => panic!("{}: {} {}", self.target, response.status, response.text()),
        }
    }

    /// Sends the request over TCP and expects anything but 101.
    ///
    /// # Panics
    /// When the answer is 101 or does not come in time.
    pub fn refused(&self) -> Response {
        let (response, client) = self.ask(connect(self.address));
        assert!(
            client.is_none(),
            "{}: expected a refusal, got 101",
            self.target
        );
        response
    }

    /// Sends the request and returns the answer, with the connection if it was 101.
    ///
    /// # Panics
    /// When no whole answer comes in time, or a 101 breaks RFC 6455 §4.1.
    pub fn ask(&self, link: impl Link + 'static) -> (Response, Option<Client>) {
        let mut link: Box<dyn Link> = Box::new(link);
        link.write_all(&self.bytes())
            .expect("the request can be written");
        link.flush().expect("the request can be written");
        let mut buffer = Vec::new();
        let response = Response::read(&mut *link, &mut buffer, &self.target);
        if response.status != 101 {
            return (response, None);
        }
        let upgrade = response.header("upgrade").unwrap_or_default();
        assert!(
            upgrade.eq_ignore_ascii_case("websocket"),
            "Upgrade: {upgrade:?}"
        );
        let connection = response.header("connection").unwrap_or_default();
        assert!(
            connection.eq_ignore_ascii_case("upgrade"),
            "Connection: {connection:?}"
        );
        let key = self
            .headers
            .iter()
            .find(|(name, _)| name == "Sec-WebSocket-Key");
        if key.is_some_and(|(_, key)| key == SAMPLE_KEY) {
            assert_eq!(response.header("sec-websocket-accept"), Some(SAMPLE_ACCEPT));
        }
        let client = Client::new(link, buffer, response.clone());
        (response, Some(client))
    }
}
