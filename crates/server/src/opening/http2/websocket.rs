//! From an extended CONNECT to a WebSocket that belongs to a worker (RFC 8441 §5).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use h2::server::SendResponse;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use rupor_proto::handshake::{ConnectRequest, HandshakeError, Upgrade, connect_response};

use super::super::answer::Answer;
use super::super::gate::Permit;
use super::super::upgrade::Decided;
use super::carry::Carrier;
use super::connection::Shared;
use super::reply::finish_headers;
use super::stream::Ended;
use crate::admit::{Admit, UpgradeRequest};
use crate::stats::RefusalReason;
use crate::worker::{Adoption, Arrival, Feed, Socket, pipe};

impl<A: Admit> Shared<A> {
    /// Opens a WebSocket on a stream, or says why not.
    pub(super) async fn open(
        &self,
        parts: Parts,
        remote: SocketAddr,
        receive: RecvStream,
        respond: &mut SendResponse<Bytes>,
    ) -> Result<Ended, Answer> {
        let opening = &self.opening;
        let upgrade = upgrade(&parts).map_err(|error| {
            opening.counters.refused(RefusalReason::Malformed);
            let answer = Answer::from(&error);
            let status = StatusCode::from_u16(error.http2_status()).unwrap_or(answer.status);
            Answer { status, ..answer }
        })?;
        // A place of its own: it is one more connection that a worker carries.
        let refused = |reason| opening.refuse(reason, "too many connections");
        let mut permit = opening.gate.enter(self.remote.ip()).map_err(refused)?;
        permit.is_of(remote.ip()).map_err(refused)?;
        let request = UpgradeRequest {
            target: parts
                .uri
                .path_and_query()
                .map_or("/", |it| it.as_str())
                .to_owned(),
            headers: parts.headers,
            subprotocols: upgrade.subprotocols.clone(),
            remote,
            secure: true,
        };
        let decided = opening.decide_with(&upgrade, request, &permit, connect_response);
        let decided = tokio::select! {
            decided = decided => decided?,
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return Ok(Ended::Reset),
        };
        let mut response = Response::new(());
        *response.headers_mut() = headers(&decided.response);
        finish_headers(response.headers_mut());
        let feed = self.adopt(decided, permit)?;
        let opened = tokio::select! {
            opened = poll_fn(|cx| feed.poll_opened(cx)) => opened,
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return Ok(Ended::Reset),
        };
        if !opened {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(Answer::new(status, "the server could not open it"));
        }
        let Ok(send) = respond.send_response(response, false) else {
            return Ok(Ended::Reset);
        };
        opening
            .counters
            .http2_websockets
            .fetch_add(1, Ordering::Relaxed);
        self.carries_websockets();
        Ok(Ended::Opened(Carrier::new(
            receive,
            send,
            feed,
            opening.linger(),
        )))
    }

    /// Gives a worker its end of a pipe; the other one is returned.
    fn adopt(
        &self,
        decided: Decided<A::Admission, Vec<(String, String)>>,
        permit: Permit,
    ) -> Result<Feed, Answer> {
        let opening = &self.opening;
        let overloaded = || opening.refuse(RefusalReason::Adoptions, "the server is overloaded");
        let worker = opening.least_loaded().ok_or_else(overloaded)?;
        let bytes = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let (pipe, feed) = pipe(
            Arc::clone(&worker.ready),
            bytes(opening.limits.http2_window_bytes),
            bytes(opening.limits.http2_unsent_bytes),
        );
        let Decided {
            admitted,
            remote,
            deflate,
            ..
        } = decided;
        let adoption = Adoption {
            transport: Socket::Stream(Box::new(pipe)),
            // The 200 is sent by us, when the worker says that it is open.
            response: Vec::new(),
            received: Vec::new(),
            admission: admitted.admission,
            arrival: Arrival {
                remote,
                subprotocol: admitted.subprotocol.map(Into::into),
                deflate,
                permit: Some(permit),
            },
        };
        worker.give(adoption).map_err(|_| overloaded())?;
        Ok(feed)
    }
}

fn upgrade(parts: &Parts) -> Result<Upgrade, HandshakeError> {
    let headers = parts.headers.iter();
    Upgrade::from_connect(
        &ConnectRequest {
            protocol: parts.extensions.get::<Protocol>().map(Protocol::as_str),
            scheme: parts.uri.scheme_str(),
            authority: parts.uri.authority().map(|authority| authority.as_str()),
            path: parts.uri.path_and_query().map(|target| target.as_str()),
        },
        headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

fn headers(all: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(all.len());
    for (name, value) in all {
        // They were checked when they were written.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            headers.append(name, value);
        }
    }
    headers
}
