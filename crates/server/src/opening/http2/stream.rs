//! A stream from its request to its answer.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};

use super::super::answer::Answer;
use super::super::body::RequestBody;
use super::super::http::{RemoteAddr, response};
use super::carry::Carrier;
use super::connection::Shared;
use super::reply::reply;
use crate::admit::Admit;
use crate::stats::RefusalReason;

/// What became of a stream.
pub(super) enum Ended {
    /// It was answered, or is gone with its connection.
    Done,
    /// The peer reset it before it was answered.
    Reset,
    /// It is a WebSocket.
    Opened(Carrier),
}

impl<A: Admit> Shared<A> {
    /// Serves a stream, until it is answered or the peer resets it.
    pub(super) async fn serve(
        self: Arc<Self>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Ended {
        let (mut parts, stream) = request.into_parts();
        let patience = self.opening.http_idle_timeout();
        let checked = self.check(&mut parts).inspect_err(|_| {
            self.opening.counters.refused(RefusalReason::Malformed);
        });
        let remote = checked.and_then(|()| {
            let lines = |name| {
                parts
                    .headers
                    .get_all(name)
                    .iter()
                    .map(HeaderValue::as_bytes)
            };
            let client = self.opening.proxies.client(self.remote, lines);
            client.map_err(|_| Answer::bad_proxy_header())
        });
        let answer = match remote {
            Err(answer) => response(&answer),
            Ok(remote) if parts.method == Method::CONNECT => {
                match self.open(parts, remote, stream, &mut respond).await {
                    Ok(ended) => return ended,
                    Err(answer) => response(&answer),
                }
            }
            Ok(remote) => {
                parts.extensions.insert(RemoteAddr(remote));
                let head_only = parts.method == Method::HEAD;
                let length = parts.headers.get(header::CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                let body = RequestBody::http2(stream, length, patience);
                let request = Request::from_parts(parts, body);
                let answered = tokio::select! {
                    answered = self.opening.answer(request) => answered,
                    _ = poll_fn(|cx| respond.poll_reset(cx)) => return Ended::Reset,
                };
                return reply(respond, answered, head_only, patience).await;
            }
        };
        reply(respond, answer, false, patience).await
    }

    /// The limits that HTTP/2 itself does not keep; and `:authority` becomes `Host`, so that who
    /// looks at a request later finds the same whichever version of HTTP brought it
    /// (RFC 9113 §8.3.1).
    fn check(&self, parts: &mut Parts) -> Result<(), Answer> {
        let limits = &self.opening.limits.head;
        if parts.headers.len() > limits.headers_max {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Answer::new(status, "too many headers"));
        }
        let target = parts.uri.path_and_query();
        if target.is_some_and(|target| target.as_str().len() > limits.target_bytes_max) {
            return Err(Answer::new(
                StatusCode::URI_TOO_LONG,
                "request target too long",
            ));
        }
        let Some(authority) = parts.uri.authority() else {
            return Ok(());
        };
        let bad = || Answer::new(StatusCode::BAD_REQUEST, "exactly one valid Host is needed");
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let same = |host: &HeaderValue| {
            let host = host.as_bytes();
            host.eq_ignore_ascii_case(authority.as_str().as_bytes())
        };
        if !hosts.next().is_none_or(same) || hosts.next().is_some() {
            return Err(bad());
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?;
        parts.headers.insert(header::HOST, host);
        Ok(())
    }
}
