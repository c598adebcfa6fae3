//! The opening handshake over a stream that is there (RFC 6455 §4.1).

use std::io;
use std::time::Duration;

use rupor_proto::handshake::{Accepted, ClientHandshake, HandshakeError, ResponseError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::error::OpenError;
use super::refusal::{RefusedUpgrade, announced_bytes};

/// Bytes of a refusal that are read, head and body.
const REFUSAL_BYTES_MAX: usize = 12 * 1024;
/// How long the rest of a refusal's body is waited for.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// What the server agreed to, and what came behind its answer.
pub(super) type Opened = (Accepted, Vec<u8>);

/// Asks for the WebSocket.
pub(super) async fn open<S>(
    stream: &mut S,
    mut handshake: ClientHandshake,
    within: Duration,
) -> Result<Opened, OpenError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    let asking = ask(stream, &mut handshake, &mut bytes);
    let error = match timeout(within, asking).await {
        Ok(Ok(accepted)) => return Ok((accepted, bytes)),
        Ok(Err(error)) => error,
        Err(_) => OpenError::TimedOut,
    };
    match error {
        OpenError::Answer(HandshakeError::Response(ResponseError::Status(status))) => {
            let _ = timeout(BODY_TIMEOUT, read_body(stream, &mut bytes)).await;
            Err(OpenError::Refused(Box::new(RefusedUpgrade::read(
                status, &bytes,
            ))))
        }
        error => Err(error),
    }
}

/// Writes the request and reads the head of the answer. What lies behind it is left in `bytes`; of a
/// refusal, all of it.
async fn ask<S>(
    stream: &mut S,
    handshake: &mut ClientHandshake,
    bytes: &mut Vec<u8>,
) -> Result<Accepted, OpenError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let written = async {
        stream.write_all(handshake.request()).await?;
        stream.flush().await
    };
    // A server that refuses without having read all closes while we write; its answer counts.
    let written: io::Result<()> = written.await;
    loop {
        match stream.read_buf(bytes).await {
            Ok(0) => return Err(written.map_or_else(OpenError::Broken, |()| OpenError::Closed)),
            Ok(_) => {}
            Err(error) => return Err(OpenError::Broken(error)),
        }
        // The head's limits are the protocol's, and what is read at once is little more than that.
        if let Some((accepted, used)) = handshake.receive(bytes)? {
            bytes.drain(..used);
            return Ok(accepted);
        }
    }
}

/// Reads on until the body that was announced is there, or as much of it as is taken.
async fn read_body<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) {
    let announced = announced_bytes(bytes).unwrap_or(usize::MAX);
    let whole = announced.min(REFUSAL_BYTES_MAX);
    while bytes.len() < whole && stream.read_buf(bytes).await.is_ok_and(|count| count > 0) {}
    bytes.truncate(whole);
}
