//! Answering a request on its stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::super::http::{Body, BoxError};
use super::stream::Ended;

/// Headers about a connection of HTTP/1.1, which HTTP/2 must not have (RFC 9113 §8.2.2).
const CONNECTION_HEADERS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Makes a response's headers right for HTTP/2, and dates it (RFC 9110 §6.6.1).
pub(super) fn finish_headers(headers: &mut HeaderMap) {
    for name in &CONNECTION_HEADERS {
        headers.remove(name);
    }
    if !headers.contains_key(header::DATE) {
        let now = httpdate::fmt_http_date(SystemTime::now());
        if let Ok(now) = HeaderValue::from_str(&now) {
            headers.insert(header::DATE, now);
        }
    }
}

/// Sends an answer, its body too unless `head_only`. A peer that takes nothing for `patience` is
/// given up: the stream is reset.
pub(super) async fn reply(
    mut respond: SendResponse<Bytes>,
    answer: Response<Body>,
    head_only: bool,
    patience: Duration,
) -> Ended {
    let (mut head, mut body) = answer.into_parts();
    finish_headers(&mut head.headers);
    let length = body.size_hint().exact();
    if let Some(length) = length.filter(|length| *length > 0 || !body.is_end_stream()) {
        let length = HeaderValue::from(length);
        head.headers.entry(header::CONTENT_LENGTH).or_insert(length);
    }
    let last = head_only || body.is_end_stream();
    let Ok(mut send) = respond.send_response(Response::from_parts(head, ()), last) else {
        // Reset, or the connection is gone.
        return Ended::Reset;
    };
    if !last && send_body(&mut send, &mut body, patience).await.is_err() {
        send.send_reset(Reason::CANCEL);
    }
    Ended::Done
}

async fn send_body(
    send: &mut SendStream<Bytes>,
    body: &mut Body,
    patience: Duration,
) -> Result<(), BoxError> {
    let mut body = Pin::new(body);
    loop {
        let next = poll_fn(|cx| {
            // A peer that has lost interest ends it, whatever the body waits for.
            if let Poll::Ready(reset) = send.poll_reset(cx) {
                return Poll::Ready(Err(
                    reset.map_or_else(BoxError::from, |it| h2::Error::from(it).into())
                ));
            }
            Poll::Ready(Ok(ready!(body.as_mut().poll_frame(cx))))
        });
        let Some(frame) = next.await? else {
            send.send_data(Bytes::new(), true)?;
            return Ok(());
        };
        // Trailers are left out, as in HTTP/1.1 for who does not ask for them.
        let Ok(mut data) = frame?.into_data() else {
            continue;
        };
        while !data.is_empty() {
            let room = poll_fn(|cx| poll_room(send, data.len(), cx));
            let room = timeout(patience, room).await??;
            let part = data.split_to(room.min(data.len()));
            let last = data.is_empty() && body.is_end_stream();
            send.send_data(part, last)?;
            if last {
                return Ok(());
            }
        }
    }
}

/// How much of `wanted` bytes the peer has room for.
pub(super) fn poll_room(
    send: &mut SendStream<Bytes>,
    wanted: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, h2::Error>> {
    // No more than is sent: what is reserved is taken from the connection's other streams.
    send.reserve_capacity(wanted);
    loop {
        let room = send.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(error)),
            // The stream does not send any more.
            None => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
        }
    }
}
