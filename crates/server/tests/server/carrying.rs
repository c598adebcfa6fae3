//! Open connections: messages, topics, other threads, slow peers.

use std::io::Write;
use std::thread;

use rupor_server::{Command, InboxFull, WorkerId};
use rupor_testkit::{Event, Frame as RawFrame, opcode, wait_until};

use super::*;

fn unlimited() -> Limits {
    Limits {
        messages_per_second: 0,
        bytes_per_second: 0,
        ..Limits::default()
    }
}

#[test]
fn echo_of_all_sizes_and_kinds() {
    let up = up(unlimited());
    let mut client = up.connect("/");
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let text = "x".repeat(length);
        client.send_text(&text);
        client.expect_text(&text);
        client.send_binary(text.as_bytes());
        assert_eq!(client.receive(), Event::Binary(text.into_bytes()));
    }
    client.send_frame(&RawFrame::fragment(opcode::TEXT, "frag", false));
    client.send_ping(b"between");
    client.send_frame(&RawFrame::fragment(opcode::CONTINUATION, "ments", true));
    assert_eq!(client.receive(), Event::Pong(b"between".to_vec()));
    client.expect_text("fragments");
}

#[test]
fn message_over_the_limit_is_1009() {
    let up = up(Limits::default());
    let mut client = up.connect("/");
    client.send_text(&"x".repeat(65_537));
    assert_eq!(client.expect_close().0, 1009);
}

/// RFC 6455 §5.5.1: at once, whoever began, and though the client keeps its own side open.
#[test]
fn server_ends_the_stream_after_a_closing_handshake() {
    let up = up(Limits {
        linger_ms: 3_600_000,
        ..Limits::default()
    });
    let mut begins = up.connect("/");
    assert_eq!(begins.close(1000, "").0, 1000);
    let mut answers = up.connect("/");
    answers.send_text("close enough");
    assert_eq!(answers.expect_close(), (4000, "enough".to_owned()));
    wait_until("both are gone", || up.handle().stats().connections == 0);
}

#[test]
fn many_messages_at_once_come_back_in_order() {
    let up = up(unlimited());
    let mut client = up.connect("/");
    let bytes: Vec<u8> = (0..20_000)
        .flat_map(|n| RawFrame::new(opcode::TEXT, n.to_string()).encode())
        .collect();
    let mut stream = client;
    stream.send_bytes(&bytes);
    for n in 0..20_000 {
        stream.expect_text(&n.to_string());
    }
    client = stream;
    client.close(1000, "");
    wait_until("all is counted", || {
        let stats = up.handle().stats();
        (stats.messages_in, stats.frames_out) == (20_000, 20_000)
    });
}

#[test]
fn large_message_goes_both_ways_past_the_backlog_limit() {
    let mut limits = unlimited();
    limits.protocol.limits.message_bytes_max = 16 * 1024 * 1024;
    let up = up(limits);
    let mut client = up.connect("/");
    let large = vec![7; 16 * 1024 * 1024];
    client.send_binary(&large);
    assert!(client.receive() == Event::Binary(large));
}

#[test]
fn any_thread_reaches_a_connection() {
    let up = up(unlimited());
    let (mut client, id) = up.connect_with_id("");
    let handle = up.handle().clone();
    thread::spawn(move || {
        for n in 0..1000 {
            handle.send(id, &text(&n.to_string())).unwrap();
        }
        handle.subscribe(id, &"news".into()).unwrap();
        handle
            .publish(&"news".into(), &text("published"), None)
            .unwrap();
        handle
            .publish(&"news".into(), &text("not for you"), Some(id))
            .unwrap();
        handle.unsubscribe(id, &"news".into()).unwrap();
        handle
            .publish(&"news".into(), &text("too late"), None)
            .unwrap();
        handle.close(id, 4321.into(), "enough").unwrap();
    });
    for n in 0..1000 {
        client.expect_text(&n.to_string());
    }
    client.expect_text("published");
    assert_eq!(client.expect_close(), (4321, "enough".to_owned()));
}

#[test]
fn who_is_subscribed_at_opening_misses_nothing() {
    let up = up(unlimited());
    let topic = "news".into();
    for n in 0..200 {
        let word = n.to_string();
        let mut client = up.connect("/?news");
        up.handle().publish(&topic, &text(&word), None).unwrap();
        client.expect_text(&word);
    }
}

#[test]
fn every_subscriber_on_every_worker_sees_one_order() {
    const SENDERS: usize = 3;
    const EACH: usize = 300;
    let server = server(unlimited())
        .workers(4)
        .listen("127.0.0.1:0")
        .unwrap();
    let up = Up::of(server.start().unwrap());
    let mut clients: Vec<Client> = (0..8).map(|_| up.connect("/?news")).collect();
    let mut workers: Vec<u64> = up.handle().stats().connections_per_worker;
    workers.sort_unstable();
    assert_eq!(
        workers,
        [2, 2, 2, 2],
        "connections are spread over the workers"
    );
    // Two threads publish from outside, and a connection from within.
    let mut inside = up.connect("/");
    thread::scope(|scope| {
        for sender in 1..SENDERS {
            let handle = up.handle().clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    let frame = text(&format!("{sender} {n}"));
                    handle.publish(&"news".into(), &frame, None).unwrap();
                }
            });
        }
        for n in 0..EACH {
            inside.send_text(&format!("publish news 0 {n}"));
        }
    });
    let orders: Vec<Vec<String>> = clients
        .iter_mut()
        .map(|client| (0..SENDERS * EACH).map(|_| client.receive_text()).collect())
        .collect();
    for order in &orders {
        assert!(order == &orders[0], "an order differs");
    }
    for sender in 0..SENDERS {
        let prefix = format!("{sender} ");
        let own: Vec<&String> = orders[0]
            .iter()
            .filter(|word| word.starts_with(&prefix))
            .collect();
        let expected: Vec<String> = (0..EACH).map(|n| format!("{sender} {n}")).collect();
        assert!(own.iter().copied().eq(expected.iter()), "sender {sender}");
    }
}

#[test]
fn subscriptions_have_a_limit() {
    let up = up(unlimited());
    let mut client = up.connect("/");
    for n in 0..128 {
        client.send_text(&format!("subscribe topic-{n}"));
        client.expect_text("true");
    }
    client.send_text("subscribe one-more");
    client.expect_text("false");
    client.send_text("subscribe topic-5");
    client.expect_text("true");
}

#[test]
fn full_inbox_refuses_the_whole_batch() {
    let up = up(Limits {
        inbox_commands_max: 10,
        ..unlimited()
    });
    let (mut client, id) = up.connect_with_id("");
    let send = |word: &str| {
        (
            id.worker(),
            Command::Send {
                to: id,
                frame: text(word),
            },
        )
    };
    let other = (0..2)
        .map(WorkerId::new)
        .find(|worker| *worker != id.worker())
        .unwrap();
    let close = Command::Close {
        id,
        code: 1000.into(),
        reason: String::new(),
    };
    let mut batch: Vec<_> = (0..11).map(|_| send("refused")).collect();
    batch.insert(0, (other, close));
    assert_eq!(up.handle().submit(batch), Err(InboxFull));
    up.handle()
        .submit((0..10).map(|n| send(&n.to_string())).collect())
        .unwrap();
    for n in 0..10 {
        client.expect_text(&n.to_string());
    }
    client.expect_only("nothing else");
}

#[test]
fn panic_ends_one_connection_and_not_the_worker() {
    let server = server(unlimited())
        .workers(1)
        .listen("127.0.0.1:0")
        .unwrap();
    let up = Up::of(server.start().unwrap());
    let [mut bad, mut good] = [up.connect("/"), up.connect("/")];
    bad.send_text("panic");
    assert_eq!(bad.expect_close().0, 1011);
    good.send_text("still here");
    good.expect_text("still here");
    assert_eq!(up.handle().stats().panics, 1);
}

#[test]
fn slow_reader_is_dropped_and_others_are_not_held_up() {
    let server = server(unlimited())
        .workers(1)
        .listen("127.0.0.1:0")
        .unwrap();
    let up = Up::of(server.start().unwrap());
    let (slow, slow_id) = up.connect_with_id("?news");
    let mut quick = up.connect("/?news");
    let frame = text(&"x".repeat(64 * 1024));
    // More than the system's buffers hold and the backlog may.
    let mut published = 0;
    wait_until("the slow one is dropped", || {
        up.handle().publish(&"news".into(), &frame, None).unwrap();
        published += 1;
        quick.receive_text();
        up.dropped("backlog_bytes") == 1
    });
    up.handle()
        .publish(&"news".into(), &text("last"), None)
        .unwrap();
    quick.expect_text("last");
    assert!(published > 16, "{published} were enough");
    drop(slow);
    wait_until("its end is known", || {
        CLOSED.lock().unwrap().iter().any(|(id, _)| *id == slow_id)
    });
    wait_until("its backlog is given back", || {
        up.handle().stats().backlog_bytes == 0
    });
}

#[test]
fn who_sends_and_never_reads_is_not_served_without_end() {
    let up = up(unlimited());
    let mut client = up.connect("/");
    let frame = RawFrame::new(opcode::TEXT, "flood 60000").encode();
    // Each asks for 60 kB; nobody reads them, so the server stops reading too.
    let many: Vec<u8> = frame.repeat(100_000);
    let asked = client.try_send_bytes(&many[..1024 * 1024]);
    assert!(asked.is_ok());
    let mut last = 0;
    wait_until("it stopped reading", || {
        let now = up.handle().stats().messages_in;
        std::mem::replace(&mut last, now) == now && now > 0
    });
    assert!(last < 1000, "{last} messages were served");
    assert!(up.handle().stats().backlog_bytes < 2 * 1024 * 1024);
}

#[test]
fn cut_connections_are_noticed() {
    let up = up(unlimited());
    let ids: Vec<ConnectionId> = (0..20).map(|_| up.connect_with_id("").1).collect();
    wait_until("all are gone", || up.handle().stats().connections == 0);
    let closed = CLOSED.lock().unwrap();
    for id in ids {
        let times = closed.iter().filter(|(closed, _)| *closed == id).count();
        assert_eq!(times, 1, "on_close of {id}");
    }
}

#[test]
fn bytes_one_at_a_time_are_messages_too() {
    let up = up(unlimited());
    let mut stream = up.tcp();
    stream.set_nodelay(true).unwrap();
    let mut client = up.opening("/").open_over(stream.try_clone().unwrap());
    for byte in RawFrame::new(opcode::TEXT, "slowly").encode() {
        stream.write_all(&[byte]).unwrap();
    }
    client.expect_text("slowly");
}
