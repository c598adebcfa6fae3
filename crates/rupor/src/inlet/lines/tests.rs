//! Lines over real sockets. What is published is recorded; the writers are plain blocking sockets, as a site's are.

use super::{AnswerLimits, Limits, Publisher, Stats, serve};
use crate::config::InletAddress;
use crate::gateway::{Publish, PublishError, Receipt, Target};
use crate::inlet::listener::Inlet;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// Takes publications down. A body `overloaded N` is refused N times before it is taken.
#[derive(Debug, Default)]
struct Recorder {
    bodies: Mutex<Vec<String>>,
    batches: Mutex<usize>,
    refusals: Mutex<usize>,
    more: Condvar,
}

impl Publisher for Recorder {
    async fn publish(&self, batch: &[Publish]) -> Vec<Result<Receipt, PublishError>> {
        let mut bodies = self.bodies.lock().expect("whole");
        let mut refusals = self.refusals.lock().expect("whole");
        *self.batches.lock().expect("whole") += 1;
        let mut overloaded = false;
        let receipts = batch
            .iter()
            .map(|publish| {
                overloaded |= *refusals > 0;
                if overloaded {
                    *refusals = refusals.saturating_sub(1);
                    return Err(PublishError::Overloaded);
                }
                bodies.push(publish.body.to_string());
                let connections = usize::from(publish.target != Target::User("nobody".into()));
                Ok(Receipt { connections })
            })
            .collect();
        self.more.notify_all();
        receipts
    }
}

/// A served inlet; stopped at the end.
struct Served {
    address: InletAddress,
    recorder: Arc<Recorder>,
    stats: Arc<Stats>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    _folder: TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Over {
    Tcp,
    Unix,
}

const BOTH: [Over; 2] = [Over::Tcp, Over::Unix];

impl Served {
    fn new(over: Over) -> Self {
        Self::with(over, Limits::default())
    }

    fn with(over: Over, limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = match over {
            Over::Tcp => "tcp://127.0.0.1:0".parse().expect("an address"),
            Over::Unix => InletAddress::Unix(folder.path().join("rupor.sock")),
        };
        let inlet = Inlet::open(&address, "--inlet").expect("an inlet");
        let address = inlet.address().clone();
        let recorder = Arc::new(Recorder::default());
        let stats = Arc::new(Stats::default());
        let (stop, stopped) = watch::channel(false);
        let (publisher, counters) = (Arc::clone(&recorder), Arc::clone(&stats));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            let serving = serve(vec![inlet], publisher, limits, counters, stopped);
            runtime.block_on(serving).expect("served");
        });
        Self {
            address,
            recorder,
            stats,
            stop,
            thread: Some(thread),
            _folder: folder,
        }
    }

    fn connect(&self) -> Writer {
        let writer = match &self.address {
            InletAddress::Tcp(address) => {
                Writer::Tcp(TcpStream::connect(address).expect("connected"))
            }
            InletAddress::Unix(path) => Writer::Unix(UnixStream::connect(path).expect("connected")),
        };
        writer.set_timeout();
        writer
    }

    /// Writes, ends writing and reads to the end.
    fn exchange(&self, bytes: &[u8]) -> Vec<Value> {
        let mut writer = self.connect();
        writer.write_all(bytes).expect("written");
        writer.end_writing();
        let mut answers = String::new();
        writer.read_to_string(&mut answers).expect("read");
        answers
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    /// Waits until so many publications were taken, and gives them.
    fn published(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        let mut bodies = self.recorder.bodies.lock().expect("whole");
        while bodies.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} of {count} were published",
                bodies.len()
            );
            bodies = self
                .recorder
                .more
                .wait_timeout(bodies, left)
                .expect("whole")
                .0;
        }
        bodies.clone()
    }

    /// Stops, and gives what was published by the end.
    fn end(mut self) -> Vec<String> {
        self.stop_and_wait();
        let bodies = self.recorder.bodies.lock().expect("whole");
        bodies.clone()
    }

    fn stop_and_wait(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("served without a panic");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop_and_wait();
        }
    }
}

enum Writer {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Writer {
    fn set_timeout(&self) {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(DEADLINE)),
            Self::Unix(stream) => stream.set_read_timeout(Some(DEADLINE)),
        }
        .expect("a timeout");
    }

    fn end_writing(&self) {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .expect("half closed");
    }

    fn set_nonblocking(&self, nonblocking: bool) {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(nonblocking),
            Self::Unix(stream) => stream.set_nonblocking(nonblocking),
        }
        .expect("set");
    }
}

impl Read for Writer {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn line(message: impl std::fmt::Display) -> String {
    format!("{{\"user\":\"tester01\",\"message\":\"{message}\"}}\n")
}

fn sorted(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort_by_key(|body| (body.len(), body.clone()));
    bodies
}

fn numbers(count: usize) -> Vec<String> {
    sorted((0..count).map(|number| number.to_string()).collect())
}

#[test]
fn a_writer_that_closes_at_once_loses_nothing_1000_times() {
    for over in BOTH {
        let served = Served::new(over);
        for number in 0..1000 {
            let mut writer = served.connect();
            writer.write_all(line(number).as_bytes()).expect("written");
        }
        assert_eq!(sorted(served.published(1000)), numbers(1000), "{over:?}");
        assert_eq!(served.end().len(), 1000);
    }
}

#[test]
fn several_small_writes_and_a_close_with_answers_unread_lose_nothing_1000_times() {
    // Each write after the first may find an answer in the writer's receive buffer, so its close becomes a reset. Over TCP the
    // writer's system then throws away what it has not sent, and where the machine is so busy that an answer overtakes a
    // line that is on its way, that is something: a few of a hundred thousand writers.
    let lost_max = |over| if matches!(over, Over::Tcp) { 9 } else { 0 };
    for over in BOTH {
        let served = Served::new(over);
        for number in 0..1000 {
            let mut writer = served.connect();
            for part in 0..4 {
                writer
                    .write_all(line(number * 4 + part).as_bytes())
                    .expect("written");
            }
        }
        served.published(4000 - lost_max(over));
        let mut published = sorted(served.end());
        published.dedup();
        assert!(
            published.len() + lost_max(over) >= 4000,
            "{} over {over:?}",
            published.len()
        );
    }
}

#[test]
fn many_lines_in_one_write_and_a_close_lose_nothing() {
    for over in BOTH {
        let served = Served::new(over);
        for round in 0..100 {
            let lines: String = (0..1000)
                .map(|number| line(round * 1000 + number))
                .collect();
            let mut writer = served.connect();
            writer.write_all(lines.as_bytes()).expect("written");
        }
        let bodies = served.published(100_000);
        assert_eq!(sorted(bodies.clone()), numbers(100_000), "{over:?}");
        // Those of one writer in their order.
        let first: Vec<usize> = bodies
            .iter()
            .filter_map(|body| body.parse().ok().filter(|number| *number < 1000))
            .collect();
        assert!(first.is_sorted());
        // And whole reads at a time.
        assert!(*served.recorder.batches.lock().expect("whole") < 10_000);
    }
}

/// From 40 000 lines on the answers were over their bound, were written, stood unread when the writer closed, and its
/// system threw away what it had not sent yet: 61 000 of these were lost.
#[test]
fn a_writer_of_100000_lines_that_closes_at_once_loses_nothing() {
    for over in BOTH {
        let served = Served::new(over);
        let lines: String = (0..100_000).map(line).collect();
        let mut writer = served.connect();
        writer.write_all(lines.as_bytes()).expect("written");
        drop(writer);
        assert_eq!(
            served.published(100_000).len(),
            100_000,
            "{over:?}: some were lost"
        );
    }
}

#[test]
fn each_line_is_answered_by_one_line_in_order() {
    for over in BOTH {
        let served = Served::new(over);
        let answers = served.exchange(
            b"{\"user\":\"a\",\"message\":\"1\",\"id\":1}\n\
              {\"user\":\"nobody\",\"message\":\"2\",\"id\":\"two\"}\r\n\
              \n\
              hello\n\
              {\"user\":\"a\",\"mesage\":\"4\",\"id\":4}\n\
              \xff\n\
              {\"message\":\"5\"}\n\
              {\"user\":\"a\",\"message\":\"6\"}",
        );
        let codes: Vec<_> = answers
            .iter()
            .map(|answer| answer["code"].clone())
            .collect();
        assert_eq!(
            codes,
            [
                json!(null),
                json!(null),
                json!("bad_json"),
                json!("bad_json"),
                json!("unknown_field"),
                json!("bad_json"),
                json!("no_target"),
                json!(null)
            ]
        );
        assert_eq!(answers[0], json!({"ok": true, "connections": 1, "id": 1}));
        assert_eq!(
            answers[1],
            json!({"ok": true, "connections": 0, "id": "two"})
        );
        assert_eq!(answers[4]["id"], 4);
        assert_eq!(answers[7], json!({"ok": true, "connections": 1}));
        let counts = served.stats.counts();
        assert_eq!(
            (counts.lines, counts.lines_refused, counts.answers_dropped),
            (8, 5, 0)
        );
        assert_eq!(served.end(), ["1", "2", "6"]);
    }
}

#[test]
fn one_who_asks_and_waits_is_answered_at_once() {
    for over in BOTH {
        let served = Served::new(over);
        let mut reader = BufReader::new(served.connect());
        for number in 0..100 {
            reader
                .get_mut()
                .write_all(line(number).as_bytes())
                .expect("written");
            let mut answer = String::new();
            reader.read_line(&mut answer).expect("read");
            assert_eq!(answer, "{\"ok\":true,\"connections\":1}\n");
        }
        // A line in pieces.
        for byte in line("pieces").bytes() {
            reader.get_mut().write_all(&[byte]).expect("written");
        }
        let mut answer = String::new();
        reader.read_line(&mut answer).expect("read");
        assert_eq!(
            served.published(101).last().map(String::as_str),
            Some("pieces")
        );
    }
}

#[test]
fn pipelining_with_a_reader_answers_everything() {
    const LINES: usize = 60_000;
    for over in BOTH {
        let served = Served::new(over);
        let mut writer = served.connect();
        let mut reader = match &writer {
            Writer::Tcp(stream) => Writer::Tcp(stream.try_clone().expect("cloned")),
            Writer::Unix(stream) => Writer::Unix(stream.try_clone().expect("cloned")),
        };
        let reading = thread::spawn(move || {
            let mut answers = String::new();
            reader.read_to_string(&mut answers).expect("read");
            answers
        });
        let lines: String = (0..LINES)
            .map(|number| format!("{{\"user\":1,\"message\":\"m\",\"id\":{number}}}\n"))
            .collect();
        writer.write_all(lines.as_bytes()).expect("written");
        writer.end_writing();
        let answers = reading.join().expect("read");
        for (number, answer) in answers.lines().enumerate() {
            assert_eq!(
                answer,
                format!("{{\"ok\":true,\"connections\":1,\"id\":{number}}}")
            );
        }
        assert_eq!(answers.lines().count(), LINES, "{over:?}");
    }
}

#[test]
fn a_writer_that_never_reads_loses_no_line_and_holds_nobody_up() {
    let limits = Limits {
        answers: AnswerLimits {
            bytes_max: 64 * 1024,
            stall: Duration::from_millis(50),
        },
        ..Limits::default()
    };
    const LINES: usize = 400_000;
    for over in BOTH {
        let served = Served::with(over, limits);
        let mut writer = served.connect();
        let lines: String = (0..LINES).map(|_| line("m")).collect();
        thread::scope(|scope| {
            let writing = scope.spawn(|| {
                writer.write_all(lines.as_bytes()).expect("written");
                writer
            });
            // Meanwhile another one is served.
            let answers = served.exchange(line("other").as_bytes());
            assert_eq!(answers, [json!({"ok": true, "connections": 1})]);
            let mut writer = writing.join().expect("written");
            assert_eq!(served.published(LINES + 1).len(), LINES + 1);
            let dropped = served.stats.counts().answers_dropped;
            assert!(dropped > 0, "{over:?}");
            // Now it reads after all: every answer that is missing is accounted for.
            writer.end_writing();
            let mut answers = String::new();
            writer.read_to_string(&mut answers).expect("read");
            let (mut answered, mut missing) = (0, 0);
            for answer in answers.lines() {
                let answer: Value = serde_json::from_str(answer).expect("whole answers only");
                match answer["dropped"].as_u64() {
                    Some(dropped) => missing += dropped,
                    None => answered += 1,
                }
            }
            assert_eq!(missing, dropped);
            assert_eq!(answered + missing, LINES as u64);
        });
    }
}

#[test]
fn what_looks_like_http_is_answered_once_and_cut_off() {
    for over in BOTH {
        let served = Served::new(over);
        let publication = line("evil");
        let length = publication.len();
        for first in [
            "POST / HTTP/1.1",
            "X-ANY /api/publish?a HTTP/1.0",
            "PRI * HTTP/2.0",
        ] {
            let request = format!(
                "{first}\r\nHost: 127.0.0.1:1234\r\nContent-Length: {length}\r\n\r\n{publication}"
            );
            // Sent as one piece and byte by byte.
            let mut writer = served.connect();
            writer.write_all(request.as_bytes()).expect("written");
            let mut answers = String::new();
            writer
                .read_to_string(&mut answers)
                .expect("answered and closed");
            assert_eq!(answers.lines().count(), 1, "{answers}");
            let answer: Value = serde_json::from_str(&answers).expect("JSON");
            assert_eq!(
                (&answer["ok"], &answer["code"]),
                (&json!(false), &json!("http"))
            );
            let mut writer = served.connect();
            // It may be cut off before all is written.
            let _ = request
                .bytes()
                .try_for_each(|byte| writer.write_all(&[byte]));
        }
        // TLS is noticed at its first byte.
        let mut writer = served.connect();
        writer.write_all(b"\x16\x03\x01").expect("written");
        let mut answers = String::new();
        writer
            .read_to_string(&mut answers)
            .expect("answered and closed");
        assert!(answers.contains("TLS"), "{answers}");
        let answers = served.exchange(line("good").as_bytes());
        assert_eq!(answers[0]["ok"], true);
        assert!(served.stats.counts().connections_cut >= 4);
        assert_eq!(served.end(), ["good"]);
    }
}

#[test]
fn a_line_over_the_limit_is_an_error_and_the_next_one_works() {
    let limits = Limits {
        line_bytes_max: 100,
        ..Limits::default()
    };
    for over in BOTH {
        let served = Served::with(over, limits);
        let fitting = line("m".repeat(100 - line("").len() + 1));
        assert_eq!(fitting.trim_end().len(), 100);
        for too_long in [
            line("m".repeat(100 - line("").len() + 2)),
            line("m".repeat(1000)),
            line("m".repeat(1_000_000)),
        ] {
            let answers = served.exchange(format!("{too_long}{fitting}").as_bytes());
            assert_eq!(answers[0]["code"], "line_too_long");
            assert!(
                answers[0]["error"]
                    .as_str()
                    .is_some_and(|text| text.contains("100 bytes"))
            );
            assert_eq!(answers[1]["ok"], true);
            assert_eq!(answers.len(), 2);
        }
    }
}

#[test]
fn a_line_of_the_default_limit_arrives() {
    let served = Served::new(Over::Unix);
    let max = Limits::default().line_bytes_max;
    let message = "m".repeat(max - line("").len() + 1);
    assert_eq!(served.exchange(line(&message).as_bytes())[0]["ok"], true);
    let answers = served.exchange(line(format!("{message}m")).as_bytes());
    assert_eq!(answers[0]["code"], "line_too_long");
    assert_eq!(served.end(), [message]);
}

#[test]
fn a_busy_worker_slows_the_writer_down_and_loses_nothing() {
    let served = Served::new(Over::Tcp);
    *served.recorder.refusals.lock().expect("whole") = 250;
    let lines: String = (0..100).map(line).collect();
    let answers = served.exchange(lines.as_bytes());
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer["ok"] == true));
    let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(served.end(), expected);
}

#[test]
fn above_the_limit_of_connections_one_waits_and_loses_nothing() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    for over in BOTH {
        let served = Served::with(over, limits);
        let mut first = BufReader::new(served.connect());
        let mut second = BufReader::new(served.connect());
        for reader in [&mut first, &mut second] {
            reader
                .get_mut()
                .write_all(line("open").as_bytes())
                .expect("written");
            let mut answer = String::new();
            reader.read_line(&mut answer).expect("answered");
        }
        // The third writes and closes while there is no place for it.
        let mut third = served.connect();
        third.write_all(line("waited").as_bytes()).expect("written");
        drop(third);
        let mut fourth = served.connect();
        fourth
            .write_all(line("fourth").as_bytes())
            .expect("written");
        fourth.set_nonblocking(true);
        let blocked = fourth
            .read(&mut [0; 1])
            .expect_err("nobody has accepted it");
        assert_eq!(blocked.kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(served.stats.counts().connections, 2);
        drop(first);
        assert_eq!(served.published(4)[2], "waited");
    }
}

#[test]
fn at_the_stop_what_has_arrived_is_published() {
    for over in BOTH {
        for _ in 0..20 {
            let mut served = Served::new(over);
            let mut idle = served.connect();
            let mut writers: Vec<_> = (0..10).map(|_| served.connect()).collect();
            for (number, writer) in writers.iter_mut().enumerate() {
                writer.write_all(line(number).as_bytes()).expect("written");
            }
            writers.truncate(5);
            served.stop_and_wait();
            let bodies = served.recorder.bodies.lock().expect("whole").clone();
            assert_eq!(sorted(bodies), numbers(10), "{over:?}");
            // The idle one is closed.
            assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0);
            if let InletAddress::Unix(path) = &served.address {
                assert!(!PathBuf::from(path).exists());
            }
        }
    }
}
