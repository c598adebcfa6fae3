//! The worker core on a simulated network: a clock that the test moves, pipes that deliver what,
//! when and in what pieces the test says, and `rupor-proto`'s client at the other end.

mod backlog;
mod chaos;
mod life;
mod rate;
mod slow;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rupor_proto::{self as proto, Close, Event, Frame, Message, Time};

use super::core::Readiness;
use super::{Adoption, Arrival, Context, Core, Transport};
use crate::handle::Handle;
use crate::handler::{Connection, Handler};
use crate::id::{ConnectionId, WorkerId};
use crate::inbox::{Command, Inbox};
use crate::limits::Limits;
use crate::slow::SlowPolicy;
use crate::stats::{Counters, LeftOut};
use crate::topic::Topic;

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

/// Both directions of a simulated connection.
#[derive(Debug, Default)]
struct Wire {
    to_server: VecDeque<u8>,
    from_server: Vec<u8>,
    /// How much a read gives at most; 0: no limit.
    read_step: usize,
    /// How much a write takes at most; 0: no limit.
    write_step: usize,
    /// How much the server may still write before it would block.
    room: usize,
    closed: bool,
    reset: bool,
    shut: bool,
    dropped: bool,
}

type Shared = Rc<RefCell<Wire>>;

/// The server's end of a [`Wire`].
struct Pipe(Shared);

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if wire.to_server.is_empty() {
            return if wire.closed {
                Ok(0)
            } else {
                Err(ErrorKind::WouldBlock.into())
            };
        }
        let step = if wire.read_step == 0 {
            usize::MAX
        } else {
            wire.read_step
        };
        let count = wire.to_server.len().min(into.len()).min(step);
        for byte in &mut into[..count] {
            *byte = wire.to_server.pop_front().unwrap();
        }
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.reset || wire.shut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if wire.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let step = if wire.write_step == 0 {
            usize::MAX
        } else {
            wire.write_step
        };
        let count = bytes.len().min(wire.room).min(step);
        wire.room -= count;
        wire.from_server.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Pipe {
    fn shutdown(&mut self) {
        self.0.borrow_mut().shut = true;
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.borrow_mut().dropped = true;
    }
}

/// What the handler was called with.
#[derive(Debug, Default)]
struct Log {
    opened: Vec<ConnectionId>,
    messages: HashMap<ConnectionId, Vec<String>>,
    closed: Vec<(ConnectionId, Close)>,
    timers: usize,
    left_out: Vec<(ConnectionId, String, u64)>,
}

/// Keeps nothing for a connection.
struct Stateless;

impl Handler for Stateless {
    type Admission = ();
    type State = ();

    fn on_open(&mut self, _: &mut Connection<'_>, (): ()) {}

    fn on_message(&mut self, _: &mut Connection<'_>, (): &mut (), _: Message<'_>) {}
}

/// Does what a message says; anything that is no command is echoed.
struct Scripted {
    log: Rc<RefCell<Log>>,
}

impl Handler for Scripted {
    type Admission = &'static str;
    type State = ConnectionId;

    fn on_open(&mut self, connection: &mut Connection<'_>, script: &'static str) -> ConnectionId {
        let id = connection.id();
        self.log.borrow_mut().opened.push(id);
        match script {
            "panic" => panic!("asked for"),
            "greet" => connection.send_text("greeting").unwrap(),
            "topic" => assert!(connection.subscribe(&"topic".into())),
            "topics" => {
                for topic in ["a", "b", "c", "d"] {
                    assert!(connection.subscribe(&topic.into()));
                }
            }
            _ => {}
        }
        id
    }

    fn on_message(
        &mut self,
        connection: &mut Connection<'_>,
        state: &mut ConnectionId,
        message: Message<'_>,
    ) {
        assert_eq!(*state, connection.id());
        let Message::Text(text) = message else {
            panic!("the tests send text")
        };
        let mut log = self.log.borrow_mut();
        log.messages
            .entry(*state)
            .or_default()
            .push(text.to_owned());
        match text.split_once(' ').unwrap_or((text, "")) {
            ("panic", _) => panic!("asked for"),
            ("close", reason) => connection.close(4001.into(), reason),
            ("big", length) => {
                let _ = connection.send_text(&"b".repeat(length.parse().unwrap()));
            }
            ("timer", ms) => connection.set_timer(Duration::from_millis(ms.parse().unwrap())),
            _ => {
                let _ = connection.send(message);
            }
        }
    }

    fn on_timer(&mut self, connection: &mut Connection<'_>, _: &mut ConnectionId) {
        self.log.borrow_mut().timers += 1;
        let _ = connection.send_text("timer");
    }

    fn on_left_out(
        &mut self,
        connection: &mut Connection<'_>,
        state: &mut ConnectionId,
        topic: &Topic,
        count: u64,
    ) {
        let note = (*state, topic.as_str().to_owned(), count);
        self.log.borrow_mut().left_out.push(note);
        let _ = connection.send_text(&format!("left out {count} of {topic}"));
    }

    fn on_close(&mut self, connection: &mut Connection<'_>, state: ConnectionId, close: &Close) {
        assert_eq!(state, connection.id());
        assert!(connection.send_text("too late").is_err());
        self.log.borrow_mut().closed.push((state, close.clone()));
    }
}

/// A core, its clock and its connections.
struct Sim {
    core: Core<Scripted, Pipe>,
    log: Rc<RefCell<Log>>,
    counters: Counters,
    now: u64,
}

/// The client's end of a connection.
struct Peer {
    wire: Shared,
    slot: usize,
    id: ConnectionId,
    protocol: proto::Connection,
    /// What of the wire's bytes was looked at.
    seen: usize,
    pongs: Vec<Vec<u8>>,
}

impl Sim {
    fn new(limits: Limits) -> Self {
        let counters = Counters::new(1);
        let inbox = Inbox::new(limits.inbox_commands_max, Box::new(|| {}));
        let handle = Handle::new(vec![inbox], counters.clone());
        let log = Rc::default();
        let handler = Scripted {
            log: Rc::clone(&log),
        };
        let context = Context::new(WorkerId::new(0), handle, Arc::new(limits));
        let core = Core::new(handler, context, 7);
        Self {
            core,
            log,
            counters,
            now: 1000,
        }
    }

    /// Limits under which only what a test sets happens.
    fn quiet() -> Limits {
        Limits {
            messages_per_second: 0,
            bytes_per_second: 0,
            protocol: proto::Config {
                ping_interval_ms: 0,
                ..proto::Config::default()
            },
            ..Limits::default()
        }
    }

    fn open(&mut self, script: &'static str) -> Peer {
        let wire = Wire {
            room: usize::MAX,
            ..Wire::default()
        };
        self.open_over(script, wire, b"")
    }

    fn open_over(&mut self, script: &'static str, wire: Wire, received: &[u8]) -> Peer {
        self.open_with(script, wire, received, None)
    }

    fn open_with(
        &mut self,
        script: &'static str,
        wire: Wire,
        received: &[u8],
        deflate: Option<proto::DeflateAgreement>,
    ) -> Peer {
        let wire = Rc::new(RefCell::new(wire));
        let slot = self.core.vacant_slot().unwrap();
        self.core.begin_turn(Time::from_millis(self.now));
        self.core.adopt(Adoption {
            transport: Pipe(Rc::clone(&wire)),
            response: RESPONSE.to_vec(),
            received: received.to_vec(),
            admission: script,
            arrival: Arrival {
                remote: "192.0.2.1:1234".parse().unwrap(),
                subprotocol: None,
                deflate,
                permit: None,
            },
        });
        self.core.end_turn();
        let id = *self.log.borrow().opened.last().unwrap();
        Peer {
            wire,
            slot,
            id,
            protocol: match &deflate {
                Some(agreement) => client().with_deflate(agreement),
                None => client(),
            },
            seen: RESPONSE.len(),
            pongs: Vec::new(),
        }
    }

    /// A turn in which these connections are ready for everything.
    fn turn(&mut self, ready: &[&Peer]) {
        self.core.begin_turn(Time::from_millis(self.now));
        for peer in ready {
            let read_closed = peer.wire.borrow().closed;
            let readiness = Readiness {
                readable: true,
                writable: true,
                read_closed,
            };
            self.core.ready(peer.slot, readiness);
        }
        self.core.end_turn();
    }

    /// Turns until the core has nothing more to do now.
    fn settle(&mut self, ready: &[&Peer]) {
        self.turn(ready);
        for _ in 0..10_000 {
            if self.core.timeout() != Some(Duration::ZERO) {
                return;
            }
            self.turn(&[]);
        }
        panic!("the core does not come to rest");
    }

    fn command(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.core.begin_turn(Time::from_millis(self.now));
        self.core.commands(commands);
        self.core.end_turn();
    }

    /// Lets time pass, as the loop would: from deadline to deadline.
    fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            let step = self
                .core
                .timeout()
                .map_or(ms, |wait| u64::try_from(wait.as_millis()).unwrap());
            self.now = until.min(self.now + step.max(1));
            self.turn(&[]);
        }
    }

    fn closes(&self) -> Vec<(ConnectionId, u16)> {
        let log = self.log.borrow();
        log.closed
            .iter()
            .map(|(id, close)| (*id, close.code.as_u16()))
            .collect()
    }

    /// Publications left out under this policy and for this reason.
    fn left_out(&self, policy: &str, reason: &str) -> u64 {
        let counts = self.counters.snapshot().left_out;
        let of = |how: &LeftOut| how.policy() == policy && how.label() == reason;
        counts
            .iter()
            .filter(|(how, _)| of(how))
            .map(|(_, n)| n)
            .sum()
    }

    fn dropped(&self, label: &str) -> u64 {
        let stats = self.counters.snapshot();
        stats
            .dropped
            .iter()
            .find(|(reason, _)| reason.label() == label)
            .unwrap()
            .1
    }
}

fn client() -> proto::Connection {
    let keys = Box::new(|| [1, 2, 3, 4]);
    proto::Connection::client(Arc::default(), Time::from_millis(0), 0, keys)
}

impl Peer {
    fn say(&mut self, text: &str) {
        let mut out = Vec::new();
        self.protocol.send(Message::Text(text), &mut out).unwrap();
        self.wire.borrow_mut().to_server.extend(out);
    }

    /// What came since the last call: texts, and `close CODE REASON`.
    fn heard(&mut self) -> Vec<String> {
        let wire = self.wire.borrow();
        let mut bytes = wire.from_server[self.seen..].to_vec();
        drop(wire);
        self.seen += bytes.len();
        let mut input = &mut bytes[..];
        let mut heard = Vec::new();
        let mut out = Vec::new();
        while let Some(event) = self
            .protocol
            .receive(&mut input, Time::from_millis(0), &mut out)
        {
            match event {
                Event::Message(message) => match message.as_message() {
                    Message::Text(text) => heard.push(text.to_owned()),
                    Message::Binary(_) => panic!("the tests send text"),
                },
                Event::Ping(_) => heard.push("ping".to_owned()),
                Event::Pong(payload) => {
                    self.pongs.push(payload.to_vec());
                    heard.push("pong".to_owned());
                }
                Event::Closed(close) => {
                    heard.push(format!("close {} {}", close.code.as_u16(), close.reason));
                }
            }
        }
        self.wire.borrow_mut().to_server.extend(out);
        heard
    }

    fn block(&self) {
        self.wire.borrow_mut().room = 0;
    }

    fn unblock(&self) {
        self.wire.borrow_mut().room = usize::MAX;
    }

    fn gone(&self) -> bool {
        self.wire.borrow().dropped
    }
}

fn text(text: &str) -> Frame {
    Frame::new(Message::Text(text))
}
