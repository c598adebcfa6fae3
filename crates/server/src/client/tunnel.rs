//! A connection that a proxy makes for us (CONNECT, RFC 9110 §9.3.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::ProxyError;
use super::proxy::ProxyServer;
use super::url::Address;

/// Bytes of a proxy's answer, at most.
const HEAD_BYTES_MAX: usize = 8192;

/// Asks the proxy at the other end of `tcp` to connect to an address. What comes out leads there.
pub(super) async fn tunnel(
    mut tcp: TcpStream,
    proxy: &ProxyServer,
    address: &Address,
    within: Duration,
) -> Result<TcpStream, ProxyError> {
    let asking = async {
        let request = request(proxy, address);
        tcp.write_all(request.as_bytes())
            .await
            .map_err(ProxyError::Broken)?;
        let head = read_head(&mut tcp).await?;
        match status(&head) {
            Some(200..300) => Ok(()),
            Some(status) => Err(ProxyError::Refused { status }),
            None => Err(ProxyError::NotHttp),
        }
    };
    timeout(within, asking)
        .await
        .unwrap_or(Err(ProxyError::TimedOut))?;
    Ok(tcp)
}

fn request(proxy: &ProxyServer, address: &Address) -> String {
    let authority = address.authority();
    let authorization = match &proxy.authorization {
        Some(value) => format!("Proxy-Authorization: {value}\r\n"),
        None => String::new(),
    };
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n")
}

/// Reads up to the empty line and not a byte further: what follows is the server's.
async fn read_head(tcp: &mut TcpStream) -> Result<Vec<u8>, ProxyError> {
    let mut head = Vec::new();
    loop {
        // Looks before it takes. There is something new to be seen each time, because all that was
        // seen was taken.
        let mut seen = [0; 1024];
        let count = tcp.peek(&mut seen).await.map_err(ProxyError::Broken)?;
        if count == 0 {
            return Err(ProxyError::Closed);
        }
        let before = head.len();
        head.extend_from_slice(seen.get(..count).unwrap_or_default());
        let from = before.saturating_sub(3);
        let end = head
            .get(from..)
            .and_then(|new| new.windows(4).position(|it| it == b"\r\n\r\n"))
            .map(|at| from + at + 4);
        let taken = end.unwrap_or(head.len()) - before;
        let taken = seen.get_mut(..taken).unwrap_or_default();
        tcp.read_exact(taken).await.map_err(ProxyError::Broken)?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(head);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(ProxyError::NotHttp);
        }
    }
}

/// The status in `HTTP/1.x 200 …`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = match rest {
        [b'0' | b'1', b' ', digits @ ..] => digits.first_chunk::<3>()?,
        _ => return None,
    };
    let behind = rest.get(5)?;
    if !matches!(behind, b' ' | b'\r') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_three_digits_of_http_1() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 200\r\n\r\n", Some(200)),
            ("HTTP/1.1 407 \r\n\r\n", Some(407)),
            ("HTTP/2 200 \r\n\r\n", None),
            ("HTTP/1.1 2000 \r\n\r\n", None),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("HTTP/1.1  200\r\n\r\n", None),
            ("HTTP/1.1 +20 \r\n\r\n", None),
            ("\r\n\r\n", None),
            ("SSH-2.0\r\n\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head:?}");
        }
    }
}
