//! One run, from the first connection to the result.
//!
//! The conductor starts the workers, waits for all connections, and reads the counters and the server's usage at the begin
//! and at the end of what is measured, both at the same moments: rates do not depend on when it wakes.

use super::Scenario;
use super::course::{Course, Phase};
use super::failure::Failure;
use super::plan::Plan;
use super::process::{Usage, usage};
use super::publications::Publications;
use super::publisher::Publisher;
use super::worker::{Outcome, Worker, histogram};
use crate::system::EndSignals;
use hdrhistogram::Histogram;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the conductor looks up.
const STEP: Duration = Duration::from_millis(5);

/// What was counted and used up to a moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    messages: u64,
    /// Of the server, with `--pid`.
    server: Option<Usage>,
    /// Of this program; `None`: the system does not tell.
    own: Option<Usage>,
}

/// What came out.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) opened: usize,
    pub(super) opening: Duration,
    /// What was measured, without warm-up; zero if it did not come to that.
    pub(super) duration: Duration,
    /// Replies or deliveries in this time.
    pub(super) messages: u64,
    pub(super) outcome: Outcome,
    /// Of this program, in this time; `None`: the system does not tell.
    pub(super) own_cpu_ns: Option<u64>,
    pub(super) server: Option<ServerUse>,
    pub(super) interrupted: bool,
    pub(super) failure: Option<String>,
}

/// What the server used.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerUse {
    /// While the connections were opened.
    pub(super) opening_cpu_ns: u64,
    /// While it was measured.
    pub(super) cpu_ns: u64,
    /// Memory before the first connection, with all of them, and at the end.
    pub(super) resident_before: u64,
    pub(super) resident_open: u64,
    pub(super) resident_end: u64,
}

/// Runs the plan.
///
/// # Errors
/// Nothing could be measured.
pub(super) fn conduct(plan: &Arc<Plan>) -> Result<Measured, Failure> {
    let interrupted = interruptions()?;
    let publishes = matches!(plan.scenario, Scenario::Broadcast | Scenario::Push);
    let publications = publishes.then(|| Publications::new(plan.in_flight));
    let publisher = plan.way_in.as_ref();
    let mut publisher = publisher
        .map(|way_in| Publisher::connect(plan, way_in))
        .transpose()?;
    let course = Arc::new(Course::new(plan.threads, publications));
    let run = Run {
        plan,
        course: &course,
        interrupted: &interrupted,
    };
    let before = run.moment();
    let mut workers = Vec::new();
    for number in 0..plan.threads {
        let (plan, course) = (Arc::clone(plan), Arc::clone(&course));
        let worker = Worker::new(number, plan, course, publisher.take())?;
        let thread = thread::Builder::new().name(format!("bench-{number}"));
        workers.push(
            thread
                .spawn(move || worker.run())
                .map_err(Failure::System)?,
        );
    }
    let opened = run.until(&workers, || course.opened() >= plan.connections);
    let with_all = run.moment();
    let (mut from, mut to) = (with_all, with_all);
    if opened {
        course.start(plan.warmup, plan.duration);
        if run.until(&workers, || course.now_ns() >= course.measured_from_ns()) {
            from = run.moment();
            run.until(&workers, || course.now_ns() >= course.until_ns());
            to = run.moment();
        }
    }
    course.end();
    let outcome = join(workers)?;
    if let (false, Some(why)) = (opened, course.failure()) {
        return Err(Failure::Broken(why));
    }
    Ok(Measured {
        opened: course.opened(),
        opening: course.opening(),
        duration: to.at - from.at,
        messages: to.messages.saturating_sub(from.messages),
        outcome,
        own_cpu_ns: from
            .own
            .zip(to.own)
            .map(|(from, to)| to.cpu_ns.saturating_sub(from.cpu_ns)),
        server: server_use([before, with_all, from, to]),
        interrupted: interrupted.load(Ordering::Relaxed),
        failure: course.failure(),
    })
}

fn server_use(moments: [Moment; 4]) -> Option<ServerUse> {
    let [before, with_all, from, to] = moments.map(|moment| moment.server);
    let (before, with_all, from, to) = (before?, with_all?, from?, to?);
    Some(ServerUse {
        opening_cpu_ns: with_all.cpu_ns.saturating_sub(before.cpu_ns),
        cpu_ns: to.cpu_ns.saturating_sub(from.cpu_ns),
        resident_before: before.resident_bytes,
        resident_open: with_all.resident_bytes,
        resident_end: to.resident_bytes,
    })
}

/// What the conductor looks at.
#[derive(Debug)]
struct Run<'a> {
    plan: &'a Plan,
    course: &'a Course,
    interrupted: &'a AtomicBool,
}

impl Run<'_> {
    fn moment(&self) -> Moment {
        Moment {
            at: Instant::now(),
            messages: self.course.messages(),
            server: if self.plan.pids.is_empty() {
                None
            } else {
                usage(&self.plan.pids).ok()
            },
            own: usage(&[std::process::id()]).ok(),
        }
    }

    /// Waits until `reached` says so. `false`: interrupted, failed, or no worker is left.
    fn until(&self, workers: &[JoinHandle<Outcome>], reached: impl Fn() -> bool) -> bool {
        loop {
            // First: what was reached before it failed was reached.
            if reached() {
                return true;
            }
            if self.course.phase() == Phase::Done || self.interrupted.load(Ordering::Relaxed) {
                return false;
            }
            if workers.iter().all(JoinHandle::is_finished) {
                return false;
            }
            thread::sleep(STEP);
        }
    }
}

fn join(workers: Vec<JoinHandle<Outcome>>) -> Result<Outcome, Failure> {
    let mut sum = Outcome {
        latencies: histogram()?,
        sent: 0,
        received: 0,
        published: 0,
        answered: 0,
        lost: 0,
        first_loss: None,
    };
    for worker in workers {
        let outcome = worker
            .join()
            .map_err(|_| Failure::System(io::Error::other("a worker panicked")))?;
        add(&mut sum.latencies, &outcome.latencies)?;
        sum.sent += outcome.sent;
        sum.received += outcome.received;
        sum.published += outcome.published;
        sum.answered += outcome.answered;
        sum.lost += outcome.lost;
        sum.first_loss = sum.first_loss.or(outcome.first_loss);
    }
    Ok(sum)
}

fn add(sum: &mut Histogram<u64>, more: &Histogram<u64>) -> Result<(), Failure> {
    sum.add(more)
        .map_err(|error| Failure::System(io::Error::other(error.to_string())))
}

/// Ctrl-C and SIGTERM end the run with what was measured so far; the second one ends the program.
fn interruptions() -> Result<Arc<AtomicBool>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::System)?;
    let entered = runtime.enter();
    let mut signals = EndSignals::catch().map_err(Failure::System)?;
    drop(entered);
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    let wait = async move {
        loop {
            signals.next().await;
            if seen.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
        }
    };
    thread::Builder::new()
        .name("bench-signals".to_owned())
        .spawn(move || runtime.block_on(wait))
        .map_err(Failure::System)?;
    Ok(interrupted)
}
