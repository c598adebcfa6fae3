//! One process from its hello to its end.

use super::carry_out::CarryOut;
use super::process::Process;
use super::stats::End;
use super::wire::{self, Command, EventKind, PROTOCOL};
use super::{Order, Php, Worker};
use crate::gateway::Gateway;
use crate::system::{OwnedReadHalf, OwnedWriteHalf};
use serde::Deserialize;
use serde_json::json;
use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout};

/// How long a process may take from its start to its hello.
const START_MAX: Duration = Duration::from_secs(60);
/// How long one that was told to stop may take, and one whose stream has ended.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long what a process wrote before its end is read.
const REST_MAX: Duration = Duration::from_secs(1);
/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Bounds of `timer_ms`.
const TIMER_MS: std::ops::RangeInclusive<u64> = 10..=3_600_000;

/// A process's hello.
#[derive(Debug, Deserialize)]
struct Hello {
    protocol: u64,
    #[serde(default)]
    timer_ms: Option<u64>,
    #[serde(default)]
    upgrade: bool,
    #[serde(default)]
    refused: bool,
}

/// What a process that said hello asked for.
#[derive(Clone, Copy, Debug)]
struct Wishes {
    /// How often a timer ticks.
    timer: Option<Duration>,
    /// Whether it hears of commands that are refused.
    refused: bool,
}

/// A process that was started.
pub(super) struct Session<'s> {
    pub(super) php: &'s Php,
    pub(super) worker: &'s Worker,
    pub(super) number: usize,
    pub(super) gateway: &'s Gateway,
    /// How many processes this worker has had, with this one.
    pub(super) start: u64,
    /// Set once it said hello.
    said_hello: OnceLock<Wishes>,
    /// Why it was told to stop.
    stopping: OnceLock<End>,
    /// It said that the next event is its end.
    said_last: AtomicBool,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    /// Where it is known, and not by us.
    pub(super) status: Option<ExitStatus>,
    /// The event that it was handling has failed, and the others under way were not begun.
    pub(super) said_last: bool,
}

impl<'s> Session<'s> {
    pub(super) fn new(
        php: &'s Php,
        worker: &'s Worker,
        number: usize,
        gateway: &'s Gateway,
        start: u64,
    ) -> Self {
        Self {
            php,
            worker,
            number,
            gateway,
            start,
            said_hello: OnceLock::new(),
            stopping: OnceLock::new(),
            said_last: AtomicBool::new(false),
        }
    }

    /// Runs until the process has ended.
    pub(super) async fn run(self, process: Process, order: watch::Receiver<Order>) -> Ended {
        let id = process.child.id();
        let Process { mut child, stream } = process;
        let (reader, writer) = stream.into_split();
        let mut read = pin!(self.read(reader));
        let mut write = pin!(self.write(writer));
        let mut watched = pin!(self.watch(id, order));
        let mut timer = pin!(self.timer());
        let (end, mut status) = tokio::select! {
            end = &mut read => (end, None),
            end = &mut watched => (end, None),
            status = child.wait() => {
                // What it wrote before is still to be read; a process of its own may hold the stream open.
                let end = timeout(REST_MAX, &mut read).await.unwrap_or(End::Died);
                (end, status.ok())
            }
            () = &mut write => (End::Died, None),
            () = &mut timer => (End::Died, None),
        };
        if end == End::Died && status.is_none() {
            // Its stream has ended; it may have something left to do.
            status = timeout(STOP_MAX, child.wait())
                .await
                .ok()
                .and_then(Result::ok);
        }
        if status.is_none() {
            // It is gone in any case when this has returned.
            let _ = child.kill().await;
        }
        if self.said_hello.get().is_some() {
            self.php.stats.no_longer_runs();
        }
        let end = match (end, self.stopping.get()) {
            (End::Died, Some(stopping)) => *stopping,
            (End::Died, None) if self.said_hello.get().is_none() => End::NotStarted,
            (end, _) => end,
        };
        Ended {
            end,
            status,
            said_last: self.said_last.load(Ordering::Relaxed),
        }
    }

    /// Tells the process to stop. The first reason counts.
    fn stop(&self, why: End) {
        if self.stopping.set(why).is_ok() {
            self.worker.wake.notify_one();
        }
    }

    /// Writes what there is until it may not any more; never returns.
    async fn write(&self, mut writer: OwnedWriteHalf) {
        let mut out = Vec::new();
        let hello = json!({
            "protocol": PROTOCOL,
            "worker": self.number,
            "workers": self.php.workers.len(),
            "start": self.start,
            "frame_bytes_max": wire::FRAME_BYTES_MAX,
        });
        wire::encode(&mut out, EventKind::Hello, 0, hello.to_string().as_bytes());
        let mut open = writer.write_all(&out).await.is_ok();
        while open && self.stopping.get().is_none() {
            out.clear();
            if self.said_hello.get().is_some() {
                let mut queue = self.worker.queue();
                queue.take_answers(&mut out);
                queue.take(&mut out);
            }
            if out.is_empty() {
                out.shrink_to(READ_BYTES);
                self.worker.wake.notified().await;
            } else {
                open = writer.write_all(&out).await.is_ok();
            }
        }
        out.clear();
        wire::encode(&mut out, EventKind::Stop, 0, &[]);
        // Whether it hears of it or not: it has so long to end.
        let _ = writer.write_all(&out).await;
        std::future::pending().await
    }

    /// Reads commands and has them carried out, until the stream ends or is none.
    async fn read(&self, mut reader: OwnedReadHalf) -> End {
        let carry_out = CarryOut {
            php: self.php,
            worker: self.worker,
            number: self.number,
            gateway: self.gateway,
        };
        let mut bytes = Vec::new();
        loop {
            let mut at = 0;
            loop {
                let rest = bytes.get(at..).unwrap_or_default();
                match wire::decode(rest) {
                    Ok(None) => break,
                    Ok(Some((command, length))) => {
                        if let Err(end) = self.command(command, &carry_out).await {
                            return end;
                        }
                        at += length;
                    }
                    Err(error) => {
                        tracing::error!(
                            worker = self.number,
                            "what the PHP worker writes are no frames: {error}. Fix: handlers must leave descriptor 3 to the library"
                        );
                        return End::NotFrames;
                    }
                }
            }
            bytes.drain(..at);
            if bytes.is_empty() {
                bytes.shrink_to(READ_BYTES);
            }
            bytes.reserve(READ_BYTES);
            match reader.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return End::Died,
                Ok(_) => {}
            }
        }
    }

    async fn command(&self, command: Command<'_>, carry_out: &CarryOut<'_>) -> Result<(), End> {
        match (command, self.said_hello.get()) {
            (Command::Hello(body), None) => self.hello(body),
            (_, None) | (Command::Hello(_), _) => {
                let worker = self.number;
                tracing::error!(worker, "the PHP worker did not begin with one hello");
                Err(End::NotFrames)
            }
            (Command::Done { count, is_last }, _) => self.done(count, is_last),
            (command, Some(wishes)) => {
                carry_out.command(command, wishes.refused).await;
                Ok(())
            }
        }
    }

    fn hello(&self, body: &[u8]) -> Result<(), End> {
        let worker = self.number;
        let hello: Hello = serde_json::from_slice(body).map_err(|error| {
            tracing::error!(worker, "the PHP worker's hello cannot be read: {error}");
            End::NotFrames
        })?;
        if hello.protocol != PROTOCOL {
            tracing::error!(
                worker,
                protocol = hello.protocol,
                "the PHP worker speaks another version of the protocol. Fix: take the library that came with this program"
            );
            return Err(End::NotFrames);
        }
        let _ = self.said_hello.set(Wishes {
            timer: hello.timer_ms.and_then(|ms| self.period(ms)),
            refused: hello.refused,
        });
        self.php.upgrades.want(hello.upgrade);
        self.php.stats.began();
        self.php.close_breaker(self.worker, worker);
        self.worker.wake.notify_one();
        Ok(())
    }

    /// Of the timer that it asked for; `None`, logged and counted: nobody can have such a one.
    fn period(&self, timer_ms: u64) -> Option<Duration> {
        if TIMER_MS.contains(&timer_ms) {
            return Some(Duration::from_millis(timer_ms));
        }
        self.php.stats.refused();
        tracing::error!(
            worker = self.number,
            timer_ms,
            "the PHP worker gets no timer: timer_ms is not from {} to {}. Fix: ask for one within these in its hello",
            TIMER_MS.start(),
            TIMER_MS.end()
        );
        None
    }

    fn done(&self, count: u64, is_last: bool) -> Result<(), End> {
        let handled = {
            let mut queue = self.worker.queue();
            let before = queue.handled();
            if !queue.done(count) {
                tracing::error!(
                    worker = self.number,
                    "the PHP worker says that it has handled more events than there were"
                );
                return Err(End::NotFrames);
            }
            queue.handled() - before
        };
        self.php.stats.handled(handled);
        self.said_last.fetch_or(is_last, Ordering::Relaxed);
        let max_jobs = self.php.config.max_jobs;
        if max_jobs > 0 && count >= max_jobs {
            self.stop(End::MaxJobs);
        }
        self.worker.wake.notify_one();
        Ok(())
    }

    /// Ticks as often as the process asked for; never returns.
    async fn timer(&self) {
        while self.said_hello.get().is_none() {
            sleep(LOOK / 10).await;
        }
        let Some(period) = self.said_hello.get().and_then(|wishes| wishes.timer) else {
            return std::future::pending().await;
        };
        let mut ticks = interval(period);
        // The first tick is at once.
        ticks.tick().await;
        let mut due = 0;
        loop {
            ticks.tick().await;
            due += 1;
            if self.worker.change(|queue| queue.tick(due)) {
                due = 0;
            }
        }
    }

    /// Looks whether it has to stop or be ended: returns when it is to be killed.
    async fn watch(&self, id: Option<u32>, mut order: watch::Receiver<Order>) -> End {
        let config = &self.php.config;
        let began = Instant::now();
        let (mut handled, mut progress) = (0, began);
        let mut told_at = None;
        loop {
            tokio::select! {
                () = sleep(LOOK) => {}
                Ok(()) = order.changed() => {
                    let stop = order.borrow().stop;
                    self.stop(if stop { End::Stop } else { End::Reload });
                }
            }
            let now = Instant::now();
            if self.said_hello.get().is_none() && now - began > START_MAX {
                return End::NotStarted;
            }
            let (is_busy, count) = {
                let queue = self.worker.queue();
                (queue.is_busy(), queue.handled())
            };
            if !is_busy || count != handled {
                (handled, progress) = (count, now);
            } else if now - progress > config.exec_ttl {
                tracing::error!(
                    worker = self.number,
                    "a PHP worker is ended: an event takes longer than php.exec_ttl"
                );
                return End::ExecTtl;
            }
            let memory_max = config.max_worker_memory;
            let has_over =
                |id| super::process::memory(id).is_some_and(|memory| memory > memory_max);
            if memory_max > 0 && id.is_some_and(has_over) {
                self.stop(End::MaxWorkerMemory);
            }
            if let Some(why) = self.stopping.get() {
                let told_at = *told_at.get_or_insert(now);
                let patience = match why {
                    End::Stop => STOP_MAX,
                    _ => STOP_MAX.max(config.exec_ttl),
                };
                if now - told_at > patience {
                    return *why;
                }
            }
        }
    }
}

/// So that a process that could not be started reads like one that ended.
pub(super) fn not_started(error: &io::Error) -> Ended {
    tracing::error!("a PHP worker cannot be started: {error}");
    Ended {
        end: End::NotStarted,
        status: None,
        said_last: false,
    }
}
