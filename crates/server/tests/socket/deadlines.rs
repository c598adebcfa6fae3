//! Pings, pongs and times, with a clock that jumps.

use rupor_server::proto::PeerError;
use rupor_testkit::{Frame, opcode};
use tokio::time::{Instant, sleep};

use super::*;

#[tokio::test(start_paused = true)]
async fn silence_is_pinged_and_a_pong_is_enough() {
    let (mut socket, mut peer) = server(&WebSocketLimits::default());
    let began = Instant::now();
    let playing = async {
        for _ in 0..10 {
            let ping = peer.receive().await.unwrap();
            assert_eq!(ping.opcode, opcode::PING);
            peer.send(&Frame::new(opcode::PONG, ping.payload)).await;
        }
        peer.send(&Frame::new(opcode::TEXT, "alive")).await;
    };
    let (message, ()) = soon(async { tokio::join!(socket.recv(), playing) }).await;
    assert_eq!(message, Some("alive".into()));
    let seconds = began.elapsed().as_secs();
    assert!((225..=275).contains(&seconds), "ten pings in {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn peer_that_answers_no_ping_is_given_up() {
    let (mut socket, mut peer) = server(&configured(|config| {
        config.ping_interval_ms = 20_000;
        config.pong_timeout_ms = 10_000;
    }));
    let began = Instant::now();
    assert_eq!(soon(socket.recv()).await, None);
    let close = socket.ended().unwrap();
    assert_eq!(
        (close.code.as_u16(), close.error),
        (1006, Some(PeerError::PongTimeout))
    );
    let seconds = began.elapsed().as_secs();
    assert!((28..=32).contains(&seconds), "{seconds} s");
    assert_eq!(peer.receive().await.unwrap().opcode, opcode::PING);
}

/// The pong was there all the time, only nobody looked.
#[tokio::test(start_paused = true)]
async fn busy_program_does_not_blame_its_peer() {
    let (mut socket, mut peer) = server(&WebSocketLimits::default());
    tokio::select! {
        message = socket.recv() => panic!("{message:?}"),
        ping = peer.receive() => peer.send(&Frame::new(opcode::PONG, ping.unwrap().payload)).await,
    }
    // A message that began long ago, and whose end came long ago too.
    peer.send(&Frame::fragment(opcode::TEXT, "be", false)).await;
    tokio::select! {
        message = socket.recv() => panic!("{message:?}"),
        () = sleep(Duration::from_millis(1)) => {}
    }
    peer.send(&Frame::new(opcode::PING, "")).await;
    peer.send(&Frame::fragment(opcode::CONTINUATION, "gun", true))
        .await;
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(socket.recv().await, Some("begun".into()));
    assert!(socket.is_open());
}

#[tokio::test(start_paused = true)]
async fn message_that_does_not_end_in_time_ends_the_connection() {
    let (mut socket, mut peer) = server(&limited(Limits {
        message_time_max_ms: 30_000,
        ..Limits::default()
    }));
    let dribble = async {
        for byte in Frame::new(opcode::BINARY, [0; 1000]).encode() {
            let _ = peer.stream.write_all(&[byte]).await;
            sleep(Duration::from_millis(500)).await;
        }
    };
    let began = Instant::now();
    let end = soon(async {
        tokio::select! {
            end = socket.recv() => end,
            () = dribble => panic!("it was let go on"),
        }
    })
    .await;
    assert_eq!(end, None);
    assert_eq!(
        socket.ended().unwrap().error,
        Some(PeerError::MessageTooSlow)
    );
    assert!((30..40).contains(&began.elapsed().as_secs()));
}

/// A peer that always has something is still pinged.
#[tokio::test(start_paused = true)]
async fn busy_peer_is_pinged_too() {
    let (mut socket, mut peer) = server(&configured(|config| config.ping_interval_ms = 1_000));
    let busy = async {
        loop {
            peer.send(&Frame::new(opcode::TEXT, "x")).await;
            sleep(Duration::from_millis(10)).await;
            if let Ok(frame) = timeout(Duration::from_millis(1), peer.receive()).await {
                return frame.unwrap();
            }
        }
    };
    let frame = soon(async {
        tokio::select! {
            () = async { while socket.recv().await.is_some() {} } => panic!("it ended"),
            frame = busy => frame,
        }
    });
    assert_eq!(frame.await.opcode, opcode::PING);
}

#[tokio::test(start_paused = true)]
async fn closing_on_one_half_is_timed_by_the_other() {
    use futures_util::{SinkExt as _, StreamExt as _};

    let (socket, _peer) = server(&configured(|config| {
        config.ping_interval_ms = 0;
        config.close_timeout_ms = 5_000;
    }));
    let (mut sink, mut stream) = socket.split();
    let reader = tokio::spawn(async move { (stream.next().await, stream) });
    tokio::task::yield_now().await;
    let began = Instant::now();
    soon(sink.close()).await.unwrap();
    let (end, stream) = soon(reader).await.unwrap();
    assert_eq!((end, began.elapsed().as_secs()), (None, 5));
    let socket = stream.reunite(sink).unwrap();
    assert_eq!(socket.ended().unwrap().error, Some(PeerError::CloseTimeout));
}
