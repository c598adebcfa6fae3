//! The client's side of the handshake (RFC 6455 §4.1).

use alloc::{string::String, vec, vec::Vec};
use core::fmt;

use super::{
    HandshakeError, HeadLimits, HeadProgress, ResponseError, Upgrade, key,
    response::write_header,
    syntax::{check_header, is_token, is_visible, list},
};
use crate::{ApiMisuse, DeflateAgreement, DeflateConfig};

/// A handshake in progress, client role.
#[derive(Clone)]
pub struct ClientHandshake {
    request: Vec<u8>,
    accept: String,
    subprotocols: Vec<String>,
    /// What was offered of permessage-deflate.
    deflate: Option<DeflateConfig>,
    progress: HeadProgress,
}

/// What the server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The subprotocol that the server chose, one of those offered.
    pub subprotocol: Option<String>,
    /// permessage-deflate, if it was offered and the server agreed to it.
    pub deflate: Option<DeflateAgreement>,
}

impl ClientHandshake {
    /// A request for `target` (path and query) at `host` (with the port, unless it is the
    /// scheme's own). `nonce` must be random, for each connection anew. `headers` are added as
    /// they are: `Origin`, `Cookie`, `Authorization`.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::HeaderValue`] for a host or target that is not printable ASCII or no path;
    /// [`ApiMisuse::Subprotocol`] for one that is no token or there twice;
    /// [`ApiMisuse::HeaderName`] and [`ApiMisuse::HeaderValue`] as for
    /// [`write_response`](super::write_response).
    pub fn new(
        host: &str,
        target: &str,
        nonce: [u8; 16],
        subprotocols: &[&str],
        headers: &[(&str, &str)],
    ) -> Result<Self, ApiMisuse> {
        let path = target.starts_with('/') && !target.contains('#');
        if host.is_empty()
            || !is_visible(host.as_bytes())
            || !is_visible(target.as_bytes())
            || !path
        {
            return Err(ApiMisuse::HeaderValue);
        }
        headers
            .iter()
            .try_for_each(|(name, value)| check_header(name, value))?;
        let mut offered = Vec::<String>::new();
        for name in subprotocols {
            if offered.len() >= Upgrade::SUBPROTOCOLS_MAX
                || !is_token(name.as_bytes())
                || offered.iter().any(|other| other == name)
            {
                return Err(ApiMisuse::Subprotocol);
            }
            offered.push((*name).into());
        }

        let key = key::encode(nonce);
        let mut request = Vec::new();
        for part in ["GET ", target, " HTTP/1.1\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
        write_header(&mut request, "Host", host);
        write_header(&mut request, "Upgrade", "websocket");
        write_header(&mut request, "Connection", "Upgrade");
        write_header(&mut request, "Sec-WebSocket-Key", &key);
        write_header(&mut request, "Sec-WebSocket-Version", "13");
        if !offered.is_empty() {
            write_header(&mut request, "Sec-WebSocket-Protocol", &offered.join(", "));
        }
        for (name, value) in headers {
            write_header(&mut request, name, value);
        }
        request.extend_from_slice(b"\r\n");
        Ok(Self {
            request,
            accept: key::accept(&key),
            subprotocols: offered,
            deflate: None,
            progress: HeadProgress::default(),
        })
    }

    /// Also offers permessage-deflate: what [`Accepted::deflate`] then has is what the server
    /// agreed to.
    #[must_use]
    pub fn offer_deflate(mut self, config: &DeflateConfig) -> Self {
        if self.deflate.is_none() {
            let head_len = self.request.len().saturating_sub(2);
            self.request.truncate(head_len);
            write_header(
                &mut self.request,
                "Sec-WebSocket-Extensions",
                &config.offer(),
            );
            self.request.extend_from_slice(b"\r\n");
            self.deflate = Some(config.clone());
        }
        self
    }

    /// The bytes to send.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Checks the server's answer at the front of `bytes`, and says how many of them it takes;
    /// what follows are frames. `None`: more bytes are needed, behind the same ones. The limits
    /// are those of [`HeadLimits::default`].
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Response`] with the rule that the answer breaks, or one of the limits.
    /// After an error the connection must be dropped.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Accepted, usize)>, HandshakeError> {
        // No first line of a response is near the target's limit but one that is out of hand.
        let end = self.progress.find_end(bytes, &HeadLimits::default());
        let end = end.map_err(|error| match error {
            HandshakeError::Malformed => ResponseError::Malformed.into(),
            error => error,
        })?;
        let Some(len) = end else { return Ok(None) };
        let head = bytes.get(..len).unwrap_or_default();
        let mut headers = vec![httparse::EMPTY_HEADER; self.progress.header_lines()];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(head) {
            Ok(httparse::Status::Complete(used)) if used == len => {}
            Ok(_) | Err(_) => return Err(ResponseError::Malformed.into()),
        }
        if response.version != Some(1) {
            return Err(ResponseError::Malformed.into());
        }
        match response.code {
            Some(101) => Ok(Some((self.check(response.headers)?, len))),
            status => Err(ResponseError::Status(status.unwrap_or_default()).into()),
        }
    }

    /// Checks the headers of a 101, in the order of RFC 6455 §4.1.
    fn check(&self, headers: &[httparse::Header<'_>]) -> Result<Accepted, ResponseError> {
        let values = |name: &'static str| {
            headers
                .iter()
                .filter(move |header| header.name.eq_ignore_ascii_case(name))
                .map(|header| header.value)
        };
        let mut upgrades = values("upgrade");
        if !upgrades
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case(b"websocket"))
            || upgrades.next().is_some()
        {
            return Err(ResponseError::NotWebSocket);
        }
        if !values("connection").any(|value| list::contains(value, "upgrade")) {
            return Err(ResponseError::NoConnectionUpgrade);
        }
        let mut accepts = values("sec-websocket-accept");
        if accepts.next() != Some(self.accept.as_bytes()) || accepts.next().is_some() {
            return Err(ResponseError::BadAccept);
        }
        // The header may come once (RFC 6455 §11.3.2).
        let mut extensions = values("sec-websocket-extensions");
        let deflate = match (extensions.next(), extensions.next(), &self.deflate) {
            (None, _, _) => None,
            (Some(line), None, Some(offered)) => {
                let agreed = offered.check_response(line);
                Some(agreed.ok_or(ResponseError::ExtensionNotOffered)?)
            }
            _ => return Err(ResponseError::ExtensionNotOffered),
        };
        let mut protocols = values("sec-websocket-protocol");
        let subprotocol = match (protocols.next(), protocols.next()) {
            (None, _) => None,
            (Some(name), None) => {
                let offered = self.subprotocols.iter().find(|it| it.as_bytes() == name);
                Some(offered.ok_or(ResponseError::BadSubprotocol)?.clone())
            }
            (Some(_), Some(_)) => return Err(ResponseError::BadSubprotocol),
        };
        Ok(Accepted {
            subprotocol,
            deflate,
        })
    }
}

impl fmt::Debug for ClientHandshake {
    /// Without what may hold secrets: target, headers, and even subprotocols.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake")
            .field("subprotocols", &self.subprotocols.len())
            .finish_non_exhaustive()
    }
}
