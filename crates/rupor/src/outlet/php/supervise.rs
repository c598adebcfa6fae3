//! One worker: its process is started, and another one when it has ended, for as long as the program runs.

use super::breaker::Breaker;
use super::files::Folder;
use super::process::{Process, is_not_found};
use super::queue::Lost;
use super::session::{Ended, Session, not_started};
use super::stats::End;
use super::wire::EventKind;
use super::{Order, Php, Worker};
use crate::by_label::Label as _;
use crate::config::FailedEvent;
use crate::gateway::Gateway;
use crate::outlet::close_failed;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Waits before the next start after processes that ended soon: the first, and the longest. They double.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// A process that lived so long has not ended soon: the next one starts at once.
const SOON: Duration = Duration::from_secs(10);

/// Keeps one worker running.
pub(super) struct Supervisor {
    number: usize,
    php: Arc<Php>,
    gateway: Arc<Gateway>,
    order: watch::Receiver<Order>,
    /// Handlers that come with the program, once they are needed.
    folder: Option<Folder>,
}

impl Supervisor {
    pub(super) fn new(
        number: usize,
        php: Arc<Php>,
        gateway: Arc<Gateway>,
        order: watch::Receiver<Order>,
    ) -> Self {
        Self {
            number,
            php,
            gateway,
            order,
            folder: None,
        }
    }

    pub(super) async fn run(mut self) {
        let php = Arc::clone(&self.php);
        let Some(worker) = php.workers.get(self.number) else {
            return;
        };
        let mut wanted = php.wanted.subscribe();
        tokio::select! {
            _ = wanted.wait_for(|wanted| *wanted) => {}
            _ = self.order.wait_for(|order| order.stop) => {}
        }
        let mut breaker = Breaker::default();
        let mut start = 0;
        let mut wait = Duration::ZERO;
        while !self.order.borrow_and_update().stop {
            start += 1;
            let began = Instant::now();
            let (ended, handled) = self.one_process(worker, start).await;
            self.php.stats.ended(ended.end);
            if !ended.end.is_failure() {
                self.begin_anew(worker, &mut breaker);
                wait = Duration::ZERO;
                continue;
            }
            let (first, longest) = BACK_OFF;
            let lived = began.elapsed() > SOON;
            // One that was idle for long and is ended by somebody is no crash loop; one that takes long to start may be.
            let fruitless = handled == 0 && (!lived || ended.end == End::NotStarted);
            let is_open = breaker.failed(fruitless);
            wait = match (is_open, lived) {
                (true, _) => longest,
                (false, true) => Duration::ZERO,
                (false, false) => (wait * 2).clamp(first, longest),
            };
            self.warn(&ended, wait);
            if is_open {
                let opened = self.php.open_breaker(worker, self.number, &self.gateway);
                opened.await;
            }
            // A reload is a reason to try again at once: the fault may be mended.
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.order.changed() => {
                    self.begin_anew(worker, &mut breaker);
                    wait = Duration::ZERO;
                }
            }
        }
    }

    /// What failed is forgotten, unless this is the end, when no process comes that could take events.
    fn begin_anew(&self, worker: &Worker, breaker: &mut Breaker) {
        if self.order.borrow().stop {
            return;
        }
        breaker.reset();
        self.php.close_breaker(worker, self.number);
    }

    /// How it ended, and how many events it handled.
    async fn one_process(&mut self, worker: &Worker, start: u64) -> (Ended, u64) {
        let script = self.script();
        let process =
            script.and_then(|script| Process::start(&self.php.config, &script, self.number));
        let ended = match process {
            Err(error) => not_started(&error),
            Ok(process) => {
                let session = Session::new(&self.php, worker, self.number, &self.gateway, start);
                session.run(process, self.order.clone()).await
            }
        };
        let (handled, lost) = {
            let mut queue = worker.queue();
            (queue.handled(), queue.end(ended.said_last))
        };
        self.account(lost);
        (ended, handled)
    }

    /// The file that is run.
    fn script(&mut self) -> io::Result<PathBuf> {
        let config = &self.php.config;
        if self.folder.is_none() && !config.files.is_empty() {
            self.folder = Some(Folder::write(config.files)?);
        }
        let folder = self.folder.as_ref();
        Ok(folder.map_or_else(
            || config.script.clone(),
            |folder| folder.path(&config.script),
        ))
    }

    /// Events that failed are counted, logged, and their connections hear of it as configured.
    fn account(&self, lost: Lost) {
        let Lost { failed, to_close } = lost;
        if failed.is_empty() {
            return;
        }
        self.php.stats.failed(failed.len());
        tracing::warn!(
            worker = self.number,
            events = failed.len(),
            "events failed with the PHP worker that was handling them; they are not tried again"
        );
        for event in &failed {
            if event.kind == EventKind::Upgrade {
                self.php.upgrades.give_up(event.subject);
            }
        }
        for connection in to_close {
            close_failed(
                &self.gateway,
                connection,
                "the handlers fail to open this connection",
            );
        }
        if self.php.config.failed_event == FailedEvent::Close {
            let closed = |event: &super::queue::Event| event.kind == EventKind::Close;
            for event in failed.iter().filter(|event| !closed(event)) {
                if let Some(connection) = event.connection() {
                    close_failed(&self.gateway, connection, "the handlers failed");
                }
            }
        }
    }

    fn warn(&self, ended: &Ended, wait: Duration) {
        let worker = self.number;
        let wait_ms = wait.as_millis();
        let reason = ended.end.label();
        let status = ended.status.map(|status| status.to_string());
        let status = status.as_deref().unwrap_or("killed by this program");
        match (ended.end, ended.status) {
            (End::NotStarted, Some(code)) if is_not_found(code) => tracing::error!(
                worker,
                wait_ms,
                "there is no program {} to run the handlers. Fix: install PHP (apt install php-cli), or name the program with --php-binary",
                self.php.config.binary,
            ),
            (End::NotStarted, _) => tracing::error!(
                worker,
                wait_ms,
                status,
                "the PHP worker ended before it was ready. Fix: see what it printed above; the handlers' file must end with $worker->run()"
            ),
            _ => tracing::warn!(
                worker,
                wait_ms,
                reason,
                status,
                "a PHP worker ended; another one is started"
            ),
        }
    }
}
