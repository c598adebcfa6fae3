//! Messages there and back.

use futures_util::{SinkExt as _, StreamExt as _, stream};
use proptest::prelude::*;
use rupor_server::Received;
use rupor_server::proto::{DeflateConfig, Message, OwnedMessage};
use rupor_server::{SendError, WebSocket, WebSocketLimits};
use rupor_testkit::{Frame, opcode};
use tokio::io::duplex;

use super::*;

fn takeover() -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..DeflateConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_and_come_as_they_went() {
    let limits = WebSocketLimits::default();
    for (mut near, mut far) in [
        pair(&limits),
        deflated_pair(&limits, &DeflateConfig::default()),
        deflated_pair(&limits, &takeover()),
    ] {
        let long = "слово ".repeat(5_000);
        let messages = ["", "hello", long.as_str()].map(OwnedMessage::from);
        let bytes = [vec![], vec![0, 255], vec![7; 60_000]].map(OwnedMessage::from);
        for message in messages.iter().chain(&bytes) {
            let echo = async {
                let received = near.recv().await.unwrap();
                near.send(&received).await.unwrap();
            };
            let ((), received) = soon(async {
                tokio::join!(echo, async {
                    far.send(message).await.unwrap();
                    far.recv().await.unwrap()
                })
            })
            .await;
            assert_eq!(received, *message);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_behind_the_handshake_is_kept() {
    let early: Vec<u8> = (0..100)
        .flat_map(|n| Frame::new(opcode::TEXT, n.to_string()).encode())
        .collect();
    let (near, _far) = duplex(64);
    let mut socket = WebSocket::server(near, early, &quiet());
    for n in 0..100 {
        assert_eq!(socket.recv().await, Some(n.to_string().into()));
    }
}

#[tokio::test(start_paused = true)]
async fn fed_messages_leave_with_one_write() {
    let (mut socket, mut peer) = server(&quiet());
    for n in 0..10 {
        socket.feed(n.to_string().as_str()).await.unwrap();
    }
    let mut byte = [0];
    let none = timeout(Duration::from_secs(1), peer.stream.read(&mut byte)).await;
    assert!(none.is_err(), "nothing leaves before it is flushed");
    socket.flush().await.unwrap();
    let mut all = [0; 1000];
    assert_eq!(peer.stream.read(&mut all).await.unwrap(), 30);
}

#[tokio::test(start_paused = true)]
async fn recv_sends_what_was_fed() {
    let (mut socket, mut peer) = server(&quiet());
    socket.try_feed("with recv").unwrap();
    let frame = soon(async {
        tokio::select! {
            _ = socket.recv() => panic!("nothing was sent"),
            frame = peer.receive() => frame.unwrap(),
        }
    });
    assert_eq!(frame.await.payload, b"with recv");
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_and_shown_to_those_who_ask() {
    let (mut socket, mut peer) = server(&quiet());
    peer.send(&Frame::new(opcode::PING, "are you there")).await;
    peer.send(&Frame::new(opcode::TEXT, "and this")).await;
    assert_eq!(socket.recv().await, Some("and this".into()));
    socket.ping(b"and you").await.unwrap();
    let pong = peer.receive().await.unwrap();
    assert_eq!(
        (pong.opcode, &pong.payload[..]),
        (opcode::PONG, &b"are you there"[..])
    );
    let ping = peer.receive().await.unwrap();
    assert_eq!(
        (ping.opcode, &ping.payload[..]),
        (opcode::PING, &b"and you"[..])
    );
    peer.send(&Frame::new(opcode::PONG, ping.payload)).await;
    match socket.recv_event().await {
        Some(Received::Pong(payload)) => assert_eq!(&*payload, b"and you"),
        other => panic!("{other:?}"),
    }
    assert!(socket.ping(&[0; 125]).await.is_ok());
    assert!(socket.ping(&[0; 126]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn uncompressed_is_readable_on_the_wire() {
    let (agreed, _) = agreements(&DeflateConfig::default());
    let (near, far) = duplex(PIPE_BYTES);
    let mut socket = WebSocket::server(near, Vec::new(), &quiet()).with_deflate(&agreed);
    let mut peer = Peer::new(far);
    let secret = "secret ".repeat(100);
    socket.send(secret.as_str()).await.unwrap();
    socket.send_uncompressed(secret.as_str()).await.unwrap();
    let [compressed, plain] = [peer.receive().await.unwrap(), peer.receive().await.unwrap()];
    assert_eq!(compressed.rsv, 4);
    assert!(compressed.payload.len() < 100);
    assert_eq!((plain.rsv, plain.payload), (0, secret.into_bytes()));
}

#[tokio::test(start_paused = true)]
async fn message_at_the_limit_comes_and_one_byte_more_ends_with_1009() {
    let limits = limited(Limits {
        message_bytes_max: 1000,
        ..Limits::default()
    });
    let (mut socket, mut peer) = server(&limits);
    peer.send(&Frame::new(opcode::BINARY, [1; 1000])).await;
    assert_eq!(socket.recv().await, Some(vec![1; 1000].into()));
    peer.send(&Frame::new(opcode::BINARY, [1; 1001])).await;
    let (end, close) = soon(async { tokio::join!(socket.recv(), peer.receive()) }).await;
    assert_eq!(end, None);
    assert_eq!(close.unwrap().payload[..2], 1009_u16.to_be_bytes());
    assert_eq!(socket.ended().unwrap().code.as_u16(), 1009);
}

#[tokio::test(start_paused = true)]
async fn bomb_ends_with_1009() {
    let (near_agreed, far_agreed) = agreements(&DeflateConfig::default());
    let (near, far) = duplex(PIPE_BYTES);
    let mut near = WebSocket::server(near, Vec::new(), &quiet()).with_deflate(&near_agreed);
    let mut far = WebSocket::client(far, Vec::new(), &quiet()).with_deflate(&far_agreed);
    far.send(Message::Binary(&vec![0; 1 << 20])).await.unwrap();
    let (end, far_end) = soon(async { tokio::join!(near.recv(), far.recv()) }).await;
    assert_eq!((end, far_end), (None, None));
    for ended in [near.ended(), far.ended()] {
        assert_eq!(ended.unwrap().code.as_u16(), 1009);
    }
}

/// `StreamExt::split`: two tasks, each with a half, and neither misses a wake-up.
#[tokio::test(start_paused = true)]
async fn halves_work_on_two_tasks() {
    let limits = quiet();
    let (near, far) = deflated_pair(&limits, &takeover());
    let (mut to_far, from_far) = near.split();
    let (to_near, from_near) = far.split();
    let echo = tokio::spawn(from_near.map(Ok::<_, SendError>).forward(to_near));
    let sender = tokio::spawn(async move {
        let messages = (0..2_000).map(|n| {
            Ok(OwnedMessage::from(
                format!("message {n}").repeat(n % 40 + 1),
            ))
        });
        to_far.send_all(&mut stream::iter(messages)).await.unwrap();
        to_far
    });
    let mut from_far = from_far.enumerate();
    for n in 0..2_000 {
        let (index, message) = soon(from_far.next()).await.unwrap();
        assert_eq!(
            (index, message),
            (n, format!("message {n}").repeat(n % 40 + 1).into())
        );
    }
    let mut to_far = soon(sender).await.unwrap();
    soon(to_far.close()).await.unwrap();
    assert_eq!(soon(from_far.next()).await, None);
    soon(echo).await.unwrap().unwrap();
}

/// A Ping that arrives while the other task waits for the stream to take its message is answered,
/// and the message still leaves.
#[tokio::test(start_paused = true)]
async fn pong_and_message_of_two_tasks_do_not_stop_each_other() {
    let (socket, mut peer) = server(&quiet());
    let (mut sink, mut stream) = socket.split();
    let began = tokio::time::Instant::now();
    let writer = tokio::spawn(async move {
        sink.send(vec![9; PIPE_BYTES * 3].into()).await.unwrap();
    });
    let reader = tokio::spawn(async move { stream.next().await });
    tokio::task::yield_now().await;
    peer.send(&Frame::new(opcode::PING, "p")).await;
    tokio::task::yield_now().await;
    let [first, second] =
        soon(async { [peer.receive().await.unwrap(), peer.receive().await.unwrap()] }).await;
    assert_eq!(
        (first.opcode, first.payload.len()),
        (opcode::BINARY, PIPE_BYTES * 3)
    );
    assert_eq!(
        (second.opcode, second.payload),
        (opcode::PONG, b"p".to_vec())
    );
    soon(writer).await.unwrap();
    assert_eq!(
        began.elapsed().as_secs(),
        0,
        "the writer waited for its patience to end"
    );
    peer.send(&Frame::new(opcode::TEXT, "end")).await;
    assert_eq!(soon(reader).await.unwrap(), Some("end".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Compressed or not, through a pipe of any size, whatever is sent comes.
    #[test]
    fn any_messages_come_in_order(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..30),
        pipe in 1_usize..5000,
        compressed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (near, far) = duplex(pipe);
            let (mut near, mut far) = (
                WebSocket::server(near, Vec::new(), &quiet()),
                WebSocket::client(far, Vec::new(), &quiet()),
            );
            if compressed {
                let (server, client) = agreements(&takeover());
                near = near.with_deflate(&server);
                far = far.with_deflate(&client);
            }
            let sender = async {
                for message in &messages {
                    near.feed(Message::Binary(message)).await.unwrap();
                }
                near.close(1000, "").await.unwrap()
            };
            let receiver = async {
                let mut received = Vec::new();
                while let Some(message) = far.recv().await {
                    received.push(message.as_bytes().to_vec());
                }
                received
            };
            let (close, received) = soon(async { tokio::join!(sender, receiver) }).await;
            assert!(close.clean);
            assert_eq!(received, messages);
        });
    }
}
