//! Answers of servers, right and wrong, over a stream in memory; no time passes.

use rupor_server::proto::handshake::{HandshakeError, ResponseError, parse_request};
use rupor_server::{DeflateConfig, RefusedUpgrade};
use tokio::io::duplex;

use super::*;

/// A 101 with these headers more.
fn agreed(more: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: ACCEPT\r\n{more}\r\n"
    )
}

/// What becomes of a client whose server answers so, `ACCEPT` put in, and then is silent, or closes.
async fn answered(client: &Client, answer: &str, closes: bool) -> Result<(), OpenError> {
    let (near, mut far) = duplex(256);
    let answer = answer.to_owned();
    let server = tokio::spawn(async move {
        let request = read_head(&mut far).await;
        let (head, _) = parse_request(request.as_bytes(), &Default::default())
            .unwrap()
            .unwrap();
        let accept = head.upgrade().unwrap().accept_key();
        let answer = answer.replace("ACCEPT", &accept);
        // A client that has read enough hangs up.
        let _ = far.write_all(answer.as_bytes()).await;
        if !closes {
            // Until the client is gone.
            let _ = far.read(&mut [0]).await;
        }
    });
    let result = match client.connect_over("ws://a/", near).await {
        Ok(socket) => {
            // The server waits for that.
            drop(socket);
            Ok(())
        }
        Err(ConnectError::Open(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    };
    server.await.unwrap();
    result
}

/// What a refusal was read as.
async fn refused(answer: &str, closes: bool) -> RefusedUpgrade {
    match answered(&plain(), answer, closes).await {
        Err(OpenError::Refused(refused)) => *refused,
        other => panic!("{answer:?}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_a_rule_open_nothing() {
    let client = plain()
        .subprotocols(["a", "b"])
        .deflate(&DeflateConfig::default());
    answered(&client, &agreed(""), false).await.unwrap();
    let chosen = "Sec-WebSocket-Protocol: b\r\n\
                  Sec-WebSocket-Extensions: permessage-deflate; \
                  server_no_context_takeover; server_max_window_bits=12\r\n";
    answered(&client, &agreed(chosen), false).await.unwrap();
    let huge = "X: y\r\n".repeat(100);
    let long = format!("X: {}\r\n", "y".repeat(10_000));
    for (answer, expected) in [
        (
            agreed("").replace("ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ResponseError::BadAccept.into(),
        ),
        (
            agreed("Sec-WebSocket-Accept: ACCEPT\r\n"),
            ResponseError::BadAccept.into(),
        ),
        (
            agreed("").replace("Upgrade: websocket\r\n", ""),
            ResponseError::NotWebSocket.into(),
        ),
        (
            agreed("").replace("Connection: Upgrade\r\n", ""),
            ResponseError::NoConnectionUpgrade.into(),
        ),
        (
            agreed("Sec-WebSocket-Protocol: c\r\n"),
            ResponseError::BadSubprotocol.into(),
        ),
        (
            agreed("Sec-WebSocket-Protocol: a, b\r\n"),
            ResponseError::BadSubprotocol.into(),
        ),
        (
            agreed("Sec-WebSocket-Extensions: x-webkit\r\n"),
            ResponseError::ExtensionNotOffered.into(),
        ),
        (
            agreed("").replace("HTTP/1.1", "HTTP/1.0"),
            ResponseError::Malformed.into(),
        ),
        (
            "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(),
            ResponseError::Malformed.into(),
        ),
        (agreed(&huge), HandshakeError::TooManyHeaders),
        (agreed(&long), HandshakeError::HeadTooLarge),
    ] {
        match answered(&client, &answer, false).await {
            Err(OpenError::Answer(error)) => assert_eq!(error, expected, "{answer}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
    // Right for who offered, wrong for who did not.
    for more in [
        "Sec-WebSocket-Protocol: a\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    ] {
        match answered(&plain(), &agreed(more), false).await {
            Err(OpenError::Answer(HandshakeError::Response(_))) => {}
            other => panic!("{more}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn head_without_end_and_silence_have_their_time() {
    for answer in [
        "",
        "HTTP/1.1 101 Switching",
        "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n",
    ] {
        match answered(&plain(), answer, false).await {
            Err(OpenError::TimedOut) => {}
            other => panic!("{answer}: {other:?}"),
        }
        match answered(&plain(), answer, true).await {
            Err(OpenError::Closed) => {}
            other => panic!("{answer}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_tell_status_place_and_the_begin_of_the_body() {
    // As long as it says, to the end, or as much as comes in a second.
    let announced = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nlog in";
    assert_eq!(refused(announced, false).await.body, "log i");
    assert_eq!(
        refused("HTTP/1.1 404 Not Found\r\n\r\nnone", true)
            .await
            .body,
        "none"
    );
    assert_eq!(
        refused("HTTP/1.1 404 Not Found\r\n\r\nnone", false)
            .await
            .body,
        "none"
    );
    assert_eq!(
        refused("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false)
            .await
            .status,
        200
    );

    let endless = format!("HTTP/1.1 500 Oh\r\n\r\n{}", "x".repeat(1_000_000));
    let body = refused(&endless, true).await.body;
    assert!((4096..=12 * 1024).contains(&body.len()), "{}", body.len());

    let moved = "HTTP/1.1 301 Moved\r\nlocation:  wss://b/\u{1b}[2J \r\nContent-Length: 0\r\n\r\n";
    // A control character makes it no head at all.
    match answered(&plain(), moved, true).await {
        Err(OpenError::Answer(HandshakeError::Response(ResponseError::Malformed))) => {}
        other => panic!("{other:?}"),
    }
    let moved = refused(&moved.replace('\u{1b}', ""), false).await;
    assert_eq!(
        (moved.status, moved.location.as_deref()),
        (301, Some("wss://b/[2J"))
    );
    let text = moved.to_string();
    assert!(
        text.contains("wss://b/[2J") && text.contains("not followed"),
        "{text}"
    );

    let chunked =
        "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnot \r\n3\r\nyou\r\n0\r\n\r\n";
    assert_eq!(refused(chunked, false).await.body, "not you");

    let escapes = refused("HTTP/1.1 403 No\r\n\r\n\u{1b}[2Jgone\r\nmore", true).await;
    assert_eq!(escapes.to_string(), "status 403: \\u{1b}[2Jgone");
}

#[tokio::test(start_paused = true)]
async fn frames_behind_the_answer_are_not_lost() {
    let (near, mut far) = duplex(4096);
    let server = async {
        let request = read_head(&mut far).await;
        let (head, _) = parse_request(request.as_bytes(), &Default::default())
            .unwrap()
            .unwrap();
        let accept = head.upgrade().unwrap().accept_key();
        let answer = agreed("").replace("ACCEPT", &accept);
        let bytes = [answer.as_bytes(), b"\x81\x05early\x81"].concat();
        far.write_all(&bytes).await.unwrap();
        far
    };
    let client = plain();
    let (opened, mut far) = tokio::join!(client.connect_over("wss://a/", near), server);
    let mut socket = opened.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap().as_text(), Some("early"));
    far.write_all(b"\x04rest").await.unwrap();
    assert_eq!(soon(socket.recv()).await.unwrap().as_text(), Some("rest"));
}
