//! Peers that do not read, and what is unsent meanwhile.

use rupor_server::proto::Message;
use rupor_server::{CLOSE_SLOW, SendError};
use rupor_testkit::{Frame, opcode};
use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn send_waits_for_a_peer_that_reads_late() {
    let (mut socket, mut peer) = server(&quiet());
    let sent = async {
        for n in 0..100_u8 {
            socket.send(Message::Binary(&[n; 1000])).await.unwrap();
        }
        socket
    };
    let read = async {
        for n in 0..100_u8 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(peer.receive().await.unwrap().payload, [n; 1000]);
        }
        peer
    };
    soon(async { tokio::join!(sent, read) }).await;
}

#[tokio::test(start_paused = true)]
async fn room_ends_at_the_limit() {
    let limits = WebSocketLimits {
        unsent_bytes_max: 10_000,
        ..quiet()
    };
    let (mut socket, mut peer) = server(&limits);
    // One message of any length is taken while there is room, even for a byte.
    for _ in 0..9 {
        socket.try_feed(Message::Binary(&[0; 1107])).unwrap();
    }
    assert!(socket.can_feed());
    socket.try_feed(Message::Binary(&[0; 200_000])).unwrap();
    assert!(!socket.can_feed());
    assert_eq!(socket.try_feed("one more"), Err(SendError::Full));
    // It is taken again when the peer has read.
    let sent = async { socket.send("one more").await.unwrap() };
    let read = async {
        for _ in 0..10 {
            peer.receive().await.unwrap();
        }
        assert_eq!(peer.receive().await.unwrap().payload, b"one more");
    };
    soon(async { tokio::join!(sent, read) }).await;
}

#[tokio::test(start_paused = true)]
async fn peer_that_takes_nothing_is_given_up() {
    let limits = WebSocketLimits {
        stall_timeout_ms: 10_000,
        ..quiet()
    };
    let (mut socket, _peer) = server(&limits);
    let began = Instant::now();
    let error = soon(socket.send(Message::Binary(&[0; PIPE_BYTES * 2])))
        .await
        .unwrap_err();
    assert_eq!((error, began.elapsed().as_secs()), (SendError::Slow, 10));
    assert_eq!(socket.recv().await, None);
    assert_eq!(socket.ended().unwrap().code, CLOSE_SLOW);
    assert_eq!(socket.send("x").await, Err(SendError::Closing));
}

/// The same for a program that only reads.
#[tokio::test(start_paused = true)]
async fn peer_that_takes_nothing_is_given_up_while_it_is_read_from() {
    let limits = WebSocketLimits {
        stall_timeout_ms: 10_000,
        ..quiet()
    };
    let (mut socket, mut peer) = server(&limits);
    socket
        .try_feed(Message::Binary(&[0; PIPE_BYTES * 2]))
        .unwrap();
    let talking = async {
        while peer
            .stream
            .write_all(&Frame::new(opcode::TEXT, "x").encode())
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let reading = async {
        while socket.recv().await.is_some() {}
        socket.ended().unwrap().code
    };
    let code = soon(async {
        tokio::select! { code = reading => code, () = talking => panic!("it ended early") }
    });
    assert_eq!(code.await, CLOSE_SLOW);
}

/// W-C1: a flood of Pings whose Pongs nobody reads, without a limit on their rate.
#[tokio::test(start_paused = true)]
async fn unread_pings_are_owed_one_pong() {
    let limits = WebSocketLimits {
        stall_timeout_ms: 0,
        ..configured(|config| {
            config.ping_interval_ms = 0;
            config.limits.control_frames_per_second = 0;
        })
    };
    let (mut socket, mut peer) = server(&limits);
    let flood = async {
        for n in 0..10_000 {
            let payload = format!("{n:0125}");
            peer.send(&Frame::new(opcode::PING, payload)).await;
        }
        peer.send(&Frame::new(opcode::TEXT, "all")).await;
        peer
    };
    let (message, mut peer) = soon(async { tokio::join!(socket.recv(), flood) }).await;
    assert_eq!(message, Some("all".into()));
    // What the pipe holds, and the Pongs of the one read that filled it.
    let unsent = unsent_bytes(&socket);
    assert!(unsent < 20_000, "{unsent}");
    let newest = format!("{:0125}", 9_999).into_bytes();
    let pongs = async {
        let mut pongs = 1;
        while peer.receive().await.unwrap().payload != newest {
            pongs += 1;
        }
        pongs
    };
    let pongs = soon(async {
        tokio::select! {
            _ = socket.recv() => panic!("it ended"),
            pongs = pongs => pongs,
        }
    });
    assert!(pongs.await < 250);
}

/// As its `Debug` shows it.
fn unsent_bytes(socket: &Socket) -> usize {
    let shown = format!("{socket:?}");
    let (_, rest) = shown.split_once("unsent_bytes: ").unwrap();
    let (number, _) = rest.split_once(',').unwrap();
    number.parse().unwrap()
}
