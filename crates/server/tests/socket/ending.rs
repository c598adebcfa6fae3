//! Closing handshakes, both ways, and ends without one.

use rupor_server::CloseCode;
use rupor_server::proto::{ApiMisuse, Initiator, PeerError};
use rupor_server::{SendError, WebSocketLimits};
use rupor_testkit::{Frame, opcode};

use super::*;

#[tokio::test(start_paused = true)]
async fn closing_handshake_either_way() {
    let limits = WebSocketLimits::default();
    for near_closes in [true, false] {
        let (near, far) = pair(&limits);
        let (mut closes, mut closed) = if near_closes {
            (near, far)
        } else {
            (far, near)
        };
        let (ours, end) =
            soon(async { tokio::join!(closes.close(4001, "done"), closed.recv()) }).await;
        let ours = ours.unwrap();
        assert_eq!(
            (ours.code.as_u16(), ours.clean, ours.initiator),
            (4001, true, Initiator::Local)
        );
        assert_eq!(end, None);
        let theirs = closed.ended().unwrap();
        assert_eq!(
            (theirs.code.as_u16(), theirs.reason.as_str()),
            (4001, "done")
        );
        assert_eq!((theirs.clean, theirs.initiator), (true, Initiator::Peer));
        assert!(!closes.is_open() && !closed.is_open());
        assert_eq!(closed.send("late").await, Err(SendError::Closing));
        // The end is told again, and closing what is closed gives how it ended.
        assert_eq!(closed.recv().await, None);
        assert_eq!(closed.close(1000, "").await.unwrap().code.as_u16(), 4001);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_code_or_reason_closes_nothing() {
    let (mut socket, mut peer) = server(&quiet());
    for code in [0, 999, 1005, 1006, 1015, 2000, 5000] {
        let error = socket.close(code, "").await.unwrap_err();
        assert_eq!(error, ApiMisuse::CloseCodeNotAllowed(CloseCode::new(code)));
    }
    let error = socket.close(1000, &"x".repeat(124)).await.unwrap_err();
    assert_eq!(error, ApiMisuse::CloseReasonTooLong);
    socket.send("still open").await.unwrap();
    assert_eq!(peer.receive().await.unwrap().payload, b"still open");
}

#[tokio::test(start_paused = true)]
async fn close_that_nobody_answers_ends_at_its_deadline() {
    let (mut socket, mut peer) = server(&configured(|config| config.close_timeout_ms = 5_000));
    let began = tokio::time::Instant::now();
    let close = soon(socket.close(1000, "")).await.unwrap();
    assert_eq!(close.error, Some(PeerError::CloseTimeout));
    assert_eq!(began.elapsed().as_secs(), 5);
    assert_eq!(peer.receive().await.unwrap().opcode, opcode::CLOSE);
    assert_eq!(peer.receive().await, None);
}

#[tokio::test(start_paused = true)]
async fn message_behind_our_close_is_dropped() {
    let (mut socket, mut peer) = server(&quiet());
    socket.start_close(1000.into(), "").unwrap();
    peer.send(&Frame::new(opcode::TEXT, "too late")).await;
    peer.send(&Frame::close(1000, "")).await;
    assert_eq!(soon(socket.recv()).await, None);
    assert!(socket.ended().unwrap().clean);
}

#[tokio::test(start_paused = true)]
async fn messages_before_the_peers_close_all_come() {
    let (mut socket, mut peer) = server(&quiet());
    for n in 0..3 {
        peer.send(&Frame::new(opcode::TEXT, n.to_string())).await;
    }
    peer.send(&Frame::close(1001, "off")).await;
    drop(peer);
    for n in 0..3 {
        assert_eq!(socket.recv().await, Some(n.to_string().into()));
    }
    assert_eq!(soon(socket.recv()).await, None);
    assert_eq!(socket.ended().unwrap().code, CloseCode::GOING_AWAY);
}

#[tokio::test(start_paused = true)]
async fn peer_that_vanishes_ends_with_1006() {
    let (mut socket, mut peer) = server(&quiet());
    // Also in the middle of a frame.
    let frame = Frame::new(opcode::TEXT, "cut").encode();
    peer.stream.write_all(&frame[..4]).await.unwrap();
    drop(peer);
    assert_eq!(soon(socket.recv()).await, None);
    let close = socket.ended().unwrap();
    assert_eq!((close.code, close.clean), (CloseCode::ABNORMAL, false));
    assert_eq!(socket.send("x").await, Err(SendError::Closing));
}

#[tokio::test(start_paused = true)]
async fn broken_rule_is_told_and_what_follows_is_read_past() {
    let (mut socket, mut peer) = server(&quiet());
    let unmasked = Frame {
        masking_key: None,
        ..Frame::new(opcode::TEXT, "x")
    };
    peer.send(&unmasked).await;
    let playing = async {
        let close = peer.receive().await.unwrap();
        assert_eq!(close.payload[..2], 1002_u16.to_be_bytes());
        assert_eq!(peer.receive().await, None, "it is shut down");
        // The peer had more to say, which must not reset the connection.
        peer.stream.write_all(&[0; PIPE_BYTES * 2]).await.unwrap();
        drop(peer);
    };
    let (end, ()) = soon(async { tokio::join!(socket.recv(), playing) }).await;
    assert_eq!(end, None);
    assert_eq!(socket.ended().unwrap().error, Some(PeerError::Unmasked));
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_after_a_broken_rule_is_left_after_a_moment() {
    let (mut socket, mut peer) = server(&quiet());
    peer.stream.write_all(&[0xff; 100]).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(soon(socket.recv()).await, None);
    assert_eq!(began.elapsed().as_millis(), 1_000);
    let _still_there = peer;
}

#[tokio::test(start_paused = true)]
async fn client_lets_the_server_end_the_stream_first() {
    let (mut socket, mut peer) = client(&quiet());
    let close = Frame {
        masking_key: None,
        ..Frame::close(1000, "")
    };
    peer.send(&close).await;
    let began = tokio::time::Instant::now();
    let playing = async {
        assert_eq!(peer.receive().await.unwrap().opcode, opcode::CLOSE);
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(peer);
    };
    let waiting = async {
        socket.recv().await;
        began.elapsed().as_millis()
    };
    let (waited, ()) = soon(async { tokio::join!(waiting, playing) }).await;
    assert_eq!(waited, 300);
}
