//! One thread of the generator: its share of the connections, one poller, one read buffer.
//!
//! Connection `i` belongs to worker `i % threads`. The first worker also publishes. A turn of the loop handles what the
//! poller reports, then lets leave what may leave. Start at [`Worker::run`].

mod schedule;

use super::Scenario;
use super::connection::{OPEN_DEADLINE, Open, Opened, Opening, not_opened};
use super::course::{Course, Phase, nanoseconds};
use super::expected::{Learner, Pattern};
use super::failure::Failure;
use super::plan::Plan;
use super::publisher::Publisher;
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token, Waker};
use schedule::Schedule;
use std::io::{self, ErrorKind, Read as _};
use std::sync::Arc;
use std::time::Duration;

/// The read buffer, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// Messages that are written in one call, in bytes; at least one message.
const WRITE_BYTES: usize = 1024 * 1024;
/// Connections of one worker that are being opened at a time.
const OPENING_MAX: usize = 64;
/// Events of one turn.
const EVENTS: usize = 1024;
/// The longest wait in the poller: so late is a change of phase noticed.
const WAIT_MAX: Duration = Duration::from_millis(10);
/// How long what is on its way at the end is waited for.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Latencies are kept from a nanosecond to two minutes, to three digits.
const LATENCY_MAX_NS: u64 = 120_000_000_000;
const LATENCY_DIGITS: u8 = 3;

/// The publisher, in its worker's poller, and the waker.
const PUBLISHER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// What a worker has seen.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Of the messages that were meant to leave while it was measured, in nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) published: u64,
    pub(super) answered: u64,
    /// Connections that ended before they were to.
    pub(super) lost: u64,
    /// Why the first of them did.
    pub(super) first_loss: Option<String>,
}

/// An empty histogram.
pub(super) fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, LATENCY_DIGITS)
        .map_err(|error| Failure::System(io::Error::other(error.to_string())))
}

#[derive(Debug)]
enum Peer {
    Opening(Box<Opening>),
    Open(Box<Open>),
    Gone,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Worker {
    number: usize,
    plan: Arc<Plan>,
    course: Arc<Course>,
    poll: Poll,
    buffer: Vec<u8>,
    requests: Pattern,
    /// `None`: nothing is expected, and anything may come.
    expected: Option<Pattern>,
    /// Finds out what is expected, when the server compresses.
    learner: Option<Learner>,
    peers: Vec<Peer>,
    opening: usize,
    open: usize,
    /// Before this place nothing is being opened.
    oldest_opening: usize,
    publisher: Option<Publisher>,
    schedule: Option<Schedule>,
    started: bool,
    outcome: Outcome,
}

impl Worker {
    /// Worker `number`, with the publisher if it is the one to have it.
    pub(super) fn new(
        number: usize,
        plan: Arc<Plan>,
        course: Arc<Course>,
        mut publisher: Option<Publisher>,
    ) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(Failure::System)?;
        if let (Some(publisher), Some(publications)) = (&mut publisher, &course.publications) {
            let registry = poll.registry();
            publisher
                .register(registry, PUBLISHER)
                .map_err(Failure::System)?;
            publications.set_waker(Waker::new(registry, WAKER).map_err(Failure::System)?);
        }
        let request = plan.request()?;
        let at_once = request.len().saturating_mul(plan.in_flight);
        let echo = plan.scenario == Scenario::Echo;
        Ok(Self {
            number,
            poll,
            buffer: vec![0; READ_BYTES],
            requests: Pattern::new(&request, at_once.min(WRITE_BYTES)),
            expected: match plan.scenario {
                Scenario::Idle => None,
                _ if plan.deflate => None,
                _ => Some(Pattern::new(&plan.reply()?, READ_BYTES)),
            },
            learner: None,
            peers: Vec::new(),
            opening: 0,
            open: 0,
            oldest_opening: 0,
            publisher,
            schedule: plan
                .rate
                .filter(|_| echo)
                .map(|rate| Schedule::new(rate, plan.messages_max)),
            started: false,
            outcome: Outcome {
                latencies: histogram()?,
                sent: 0,
                received: 0,
                published: 0,
                answered: 0,
                lost: 0,
                first_loss: None,
            },
            plan,
            course,
        })
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> Outcome {
        if let Err(failure) = self.turns() {
            self.course.fail(failure.to_string());
        }
        for peer in &mut self.peers {
            if let Peer::Open(open) = peer {
                self.outcome.sent += open.sent.max(open.due);
                open.close(!self.plan.is_bare());
            }
        }
        if let Some(publisher) = &self.publisher {
            self.outcome.published = publisher.published();
            self.outcome.answered = publisher.answered();
        }
        self.outcome
    }

    fn turns(&mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(EVENTS);
        let mut give_up = u64::MAX;
        loop {
            match self.poll.poll(&mut events, Some(self.wait())) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(Failure::System(error));
                }
                _ => {}
            }
            for event in &events {
                match (event.token(), &mut self.publisher) {
                    (PUBLISHER, Some(publisher)) => publisher.on_event(),
                    (PUBLISHER | WAKER, _) => {}
                    (Token(place), _) => self.on_event(place, event.is_read_closed())?,
                }
            }
            match self.course.phase() {
                Phase::Opening => self.open_more()?,
                Phase::Running if self.open == 0 => {
                    self.finish();
                    return Ok(());
                }
                Phase::Running => self.release()?,
                Phase::Ending => {
                    self.release()?;
                    let now = self.course.now_ns();
                    give_up = give_up.min(now + nanoseconds(LAST_WAIT));
                    if self.is_finished() || now > give_up {
                        self.finish();
                        return Ok(());
                    }
                }
                Phase::Done => return Ok(()),
            }
            self.course
                .count_messages(self.number, self.outcome.received);
        }
    }

    /// How long the poller may wait.
    fn wait(&self) -> Duration {
        if self.course.phase() == Phase::Opening {
            return WAIT_MAX;
        }
        let next = match (&self.schedule, &self.publisher) {
            (Some(schedule), _) => Some(schedule.next_ns()),
            (None, Some(publisher)) => publisher.next_ns(&self.plan, &self.course),
            (None, None) => None,
        };
        let Some(next) = next else { return WAIT_MAX };
        let gap = Duration::from_nanos(next.saturating_sub(self.course.now_ns()));
        // The poller counts in milliseconds: what comes sooner is waited for by asking again and again.
        let gap = gap.saturating_sub(Duration::from_millis(1));
        Duration::from_millis(u64::try_from(gap.as_millis()).unwrap_or(0)).min(WAIT_MAX)
    }

    /// Begins to open connections, as many at a time as there is room for.
    fn open_more(&mut self) -> Result<(), Failure> {
        let now = self.course.now_ns();
        while let Some(peer) = self.peers.get(self.oldest_opening) {
            if let Peer::Opening(opening) = peer {
                if opening.deadline_ns < now {
                    let why = format!("no answer in {} s", OPEN_DEADLINE.as_secs());
                    return Err(not_opened(
                        &self.plan,
                        self.index(self.oldest_opening),
                        &why,
                    ));
                }
                break;
            }
            self.oldest_opening += 1;
        }
        while self.opening < OPENING_MAX && self.index(self.peers.len()) < self.plan.connections {
            let place = self.peers.len();
            let deadline = now + nanoseconds(OPEN_DEADLINE);
            let mut opening = Opening::begin(&self.plan, self.index(place), deadline)?;
            opening
                .link
                .register(self.poll.registry(), Token(place))
                .map_err(Failure::System)?;
            self.peers.push(Peer::Opening(Box::new(opening)));
            self.opening += 1;
        }
        Ok(())
    }

    fn index(&self, place: usize) -> usize {
        place * self.plan.threads + self.number
    }

    fn on_event(&mut self, place: usize, ended: bool) -> Result<(), Failure> {
        match self.peers.get_mut(place) {
            Some(Peer::Opening(opening)) => match opening.drive() {
                Ok(Some(opened)) => self.on_opened(place, &opened),
                Ok(None) => Ok(()),
                Err(why) => Err(not_opened(&self.plan, self.index(place), &why)),
            },
            Some(Peer::Open(_)) => self.on_ready(place, ended),
            Some(Peer::Gone) | None => Ok(()),
        }
    }

    fn on_opened(&mut self, place: usize, opened: &Opened) -> Result<(), Failure> {
        let index = self.index(place);
        if self.plan.deflate {
            let Some(agreement) = opened.deflate else {
                let why = "the server does not agree to permessage-deflate";
                return Err(not_opened(&self.plan, index, &why));
            };
            let learner = || Learner::new(agreement, self.plan.payload.len());
            self.learner.get_or_insert_with(learner);
        }
        let Some(peer) = self.peers.get_mut(place) else {
            return Ok(());
        };
        if let Peer::Opening(opening) = std::mem::replace(peer, Peer::Gone) {
            *peer = Peer::Open(Box::new(Open::new(opening.link, index)));
        }
        self.opening -= 1;
        self.open += 1;
        self.course.count_opened();
        self.open_more()?;
        match self.on_bytes(place, &opened.behind) {
            Ok(()) => self.on_ready(place, true),
            Err(why) => self.lose(place, &why),
        }
    }

    /// Reads all there is, and writes what that has set free.
    fn on_ready(&mut self, place: usize, ended: bool) -> Result<(), Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.read(place, &mut buffer, ended);
        self.buffer = buffer;
        let written = read.and_then(|()| self.write(place));
        written.or_else(|why| self.lose(place, &why))
    }

    fn read(&mut self, place: usize, buffer: &mut [u8], ended: bool) -> Result<(), String> {
        loop {
            let Some(Peer::Open(open)) = self.peers.get_mut(place) else {
                return Ok(());
            };
            let count = match open.link.read(buffer) {
                Ok(0) => return Err("the server closed without a Close frame".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            let all = count < buffer.len() && !ended && !open.link.reads_short();
            self.on_bytes(place, buffer.get(..count).unwrap_or_default())?;
            if all {
                return Ok(());
            }
        }
    }

    /// Counts the messages in what was read. As text: why the connection is given up.
    fn on_bytes(&mut self, place: usize, bytes: &[u8]) -> Result<(), String> {
        let Some(Peer::Open(open)) = self.peers.get_mut(place) else {
            return Ok(());
        };
        let mut early = std::mem::take(&mut open.early);
        let is_unknown = self.expected.is_none() && self.plan.scenario != Scenario::Idle;
        let bytes = if is_unknown || !early.is_empty() {
            early.extend_from_slice(bytes);
            early.as_slice()
        } else {
            bytes
        };
        if let (true, Some(learner)) = (is_unknown, &self.learner) {
            let learned = learner.learn(bytes, self.plan.message());
            let Some(unit) = learned.map_err(|error| error.to_string())? else {
                open.early = early;
                return Ok(());
            };
            self.expected = Some(Pattern::new(&unit, READ_BYTES));
        }
        let count = open
            .take(self.expected.as_ref(), bytes)
            .map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(());
        }
        let (first, index) = (open.received, open.index as u64);
        open.received += count;
        self.outcome.received += count;
        let now = self.course.now_ns();
        if self.plan.scenario != Scenario::Echo {
            return self.on_deliveries(index, first..first + count, now);
        }
        if open.received > open.sent {
            return Err("the server sent more replies than there were messages".to_owned());
        }
        if let Some(schedule) = &self.schedule {
            for number in first..first + count {
                let intended = schedule.intended_ns(number, index, self.plan.connections as u64);
                record(&mut self.outcome, &self.course, intended, now, 1);
            }
            open.queue_due(self.plan.in_flight as u64);
            return Ok(());
        }
        let mut left = count;
        while left > 0
            && let Some((sent_ns, together)) = open.recall(left)
        {
            record(&mut self.outcome, &self.course, sent_ns, now, together);
            left -= together;
        }
        if self.course.phase() == Phase::Running {
            open.queue(count);
            open.remember(now, count);
        }
        Ok(())
    }

    /// A connection has received these, counted from its own first.
    fn on_deliveries(
        &mut self,
        index: u64,
        deliveries: std::ops::Range<u64>,
        now: u64,
    ) -> Result<(), String> {
        let Some(publications) = &self.course.publications else {
            return Ok(());
        };
        for number in deliveries {
            let number = match self.plan.scenario {
                Scenario::Push => number * self.plan.connections as u64 + index,
                _ => number,
            };
            let Some((intended, last)) = publications.deliver(number) else {
                return Err("the server delivered more than was published".to_owned());
            };
            record(&mut self.outcome, &self.course, intended, now, 1);
            if last && self.publisher.is_none() {
                publications.wake();
            }
        }
        Ok(())
    }

    fn write(&mut self, place: usize) -> Result<(), String> {
        let Some(Peer::Open(open)) = self.peers.get_mut(place) else {
            return Ok(());
        };
        let written = open.write(&self.requests);
        written.map_err(|error| error.to_string())
    }

    /// Lets leave what may leave now.
    fn release(&mut self) -> Result<(), Failure> {
        if let (Some(publisher), Some(publications)) =
            (&mut self.publisher, &self.course.publications)
        {
            let advanced = publisher.advance(&self.plan, &self.course, publications);
            return advanced.map_err(Failure::Broken);
        }
        if self.plan.scenario != Scenario::Echo || !self.course.has_started() {
            return Ok(());
        }
        if self.schedule.is_some() {
            return self.release_on_time();
        }
        let running = self.course.phase() == Phase::Running;
        if running && !std::mem::replace(&mut self.started, true) {
            let (now, count) = (self.course.now_ns(), self.plan.in_flight as u64);
            for place in 0..self.peers.len() {
                if let Some(Peer::Open(open)) = self.peers.get_mut(place) {
                    open.queue(count);
                    open.remember(now, count);
                }
                if let Err(why) = self.write(place) {
                    self.lose(place, &why)?;
                }
            }
        }
        Ok(())
    }

    /// The same when a rate says when messages leave.
    fn release_on_time(&mut self) -> Result<(), Failure> {
        let Some(schedule) = &mut self.schedule else {
            return Ok(());
        };
        if !std::mem::replace(&mut self.started, true) {
            schedule.start(self.course.start_ns(), self.number, &self.plan);
        }
        let (now, until) = (self.course.now_ns(), self.course.until_ns());
        let mut touched = Vec::new();
        while let Some(place) = schedule.pop(now, until) {
            if let Some(Peer::Open(open)) = self.peers.get_mut(place) {
                open.due += 1;
                touched.push(place);
            }
        }
        let in_flight = self.plan.in_flight as u64;
        for place in touched {
            if let Some(Peer::Open(open)) = self.peers.get_mut(place) {
                open.queue_due(in_flight);
            }
            if let Err(why) = self.write(place) {
                self.lose(place, &why)?;
            }
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        match self.plan.scenario {
            Scenario::Idle => true,
            Scenario::Echo => self.peers.iter().all(|peer| match peer {
                Peer::Open(open) => open.outstanding() == 0 && open.due <= open.sent,
                Peer::Opening(_) | Peer::Gone => true,
            }),
            // Whoever publishes knows.
            Scenario::Broadcast | Scenario::Push => {
                self.publisher.as_ref().is_some_and(Publisher::is_finished)
            }
        }
    }

    fn finish(&mut self) {
        self.course
            .count_messages(self.number, self.outcome.received);
        if self.publisher.is_some() {
            self.course.advance(Phase::Done);
        }
    }

    /// Gives a connection up. Where others wait for what it would have received, that ends the run.
    fn lose(&mut self, place: usize, why: &str) -> Result<(), Failure> {
        let Some(peer) = self.peers.get_mut(place) else {
            return Ok(());
        };
        if let Peer::Open(open) = std::mem::replace(peer, Peer::Gone) {
            self.outcome.sent += open.sent.max(open.due);
            self.outcome.lost += 1;
            self.open -= 1;
            let why = format!("connection {} was lost: {why}", open.index + 1);
            if self.course.publications.is_some() {
                return Err(Failure::Broken(why));
            }
            self.outcome.first_loss.get_or_insert(why);
        }
        Ok(())
    }
}

fn record(outcome: &mut Outcome, course: &Course, intended: u64, now: u64, count: u64) {
    if course.is_measured(intended) {
        let latency = now.saturating_sub(intended).max(1);
        outcome.latencies.saturating_record_n(latency, count);
    }
}
