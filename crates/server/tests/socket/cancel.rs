//! Any future may be dropped at any point: nothing is lost, nothing comes twice, nothing is cut.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use rupor_server::proto::Message;
use rupor_server::{WebSocket, WebSocketLimits};
use rupor_testkit::{Frame, opcode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// Reads without a write between them after which nothing is on its way any more.
const IDLE_MAX: u32 = 50;

/// A stream that brings and takes as much as its plan says, and is not ready in between. It ends when nothing is on its way in
/// either direction: what cannot leave because it ended is not lost by a dropped future.
struct Choppy {
    input: Vec<u8>,
    at: usize,
    written: Vec<u8>,
    plan: Vec<usize>,
    turn: usize,
    idle: u32,
}

impl Choppy {
    /// How many bytes may pass now; none: not ready.
    fn next(&mut self) -> usize {
        let step = self.plan[self.turn % self.plan.len()];
        self.turn += 1;
        step
    }
}

impl AsyncRead for Choppy {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let count = this
            .next()
            .min(this.input.len() - this.at)
            .min(into.remaining());
        this.idle += 1;
        let is_over = this.at == this.input.len() && this.idle > IDLE_MAX;
        if count == 0 && !is_over {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        into.put_slice(&this.input[this.at..this.at + count]);
        this.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        this.idle = 0;
        let count = this.next().min(bytes.len());
        if count == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every future is polled once and dropped, ready or not.
    #[test]
    fn dropped_futures_lose_nothing(
        incoming in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..20),
        outgoing in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..20),
        plan in prop::collection::vec(0_usize..300, 2..20)
            .prop_filter("it must move on both ways", |plan| plan.len() % 2 == 1 && plan.iter().any(|step| *step > 0)),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all().start_paused(true).build().unwrap();
        let _in_runtime = runtime.enter();
        let mut input: Vec<u8> = incoming.iter()
            .flat_map(|payload| Frame::new(opcode::BINARY, payload).encode()).collect();
        input.extend(Frame::new(opcode::PING, "last").encode());
        let stream = Choppy { input, at: 0, written: Vec::new(), plan, turn: 0, idle: 0 };
        let limits = WebSocketLimits { unsent_bytes_max: 500, ..quiet() };
        let mut socket = WebSocket::server(stream, Vec::new(), &limits);
        let mut cx = Context::from_waker(Waker::noop());

        let (mut received, mut sent) = (Vec::new(), 0);
        for _ in 0..1_000_000 {
            match pin!(socket.recv()).poll(&mut cx) {
                Poll::Ready(Some(message)) => received.push(message.as_bytes().to_vec()),
                Poll::Ready(None) => break,
                Poll::Pending => {}
            }
            // Half of the sends are given up while they wait for room, and tried again: what was
            // not taken was not sent.
            if let Some(payload) = outgoing.get(sent)
                && pin!(socket.feed(Message::Binary(payload))).poll(&mut cx).is_ready()
            {
                sent += 1;
            }
            let _ = pin!(socket.flush()).poll(&mut cx);
        }
        prop_assert_eq!(received, incoming);
        let written = &socket.stream().written;
        let (mut at, mut seen) = (0, Vec::new());
        while let Some((frame, used)) = Frame::decode(&written[at..]) {
            at += used;
            seen.push(frame);
        }
        prop_assert_eq!(at, written.len(), "a frame was cut");
        let seen: Vec<_> = seen.into_iter().filter(|frame| frame.opcode == opcode::BINARY).map(|frame| frame.payload).collect();
        prop_assert_eq!(&seen[..], &outgoing[..sent]);
    }
}
