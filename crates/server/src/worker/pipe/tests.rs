use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A pipe with a window of 100 and room for 10, attached as connection 7, and both parties.
struct Rig {
    pipe: Pipe,
    feed: Feed,
    ready: Arc<Ready>,
    task: Arc<Woken>,
    worker_woken: Arc<AtomicUsize>,
}

impl Rig {
    fn new() -> Self {
        let worker_woken = Arc::new(AtomicUsize::new(0));
        let woken = Arc::clone(&worker_woken);
        let ready = Ready::new(move || {
            woken.fetch_add(1, Ordering::Relaxed);
        });
        let (pipe, feed) = pipe(Arc::clone(&ready), 100, 10);
        pipe.attach(7);
        Self {
            pipe,
            feed,
            ready,
            task: Arc::default(),
            worker_woken,
        }
    }

    fn turn(&self, in_hand: usize) -> Turn {
        let waker = Arc::clone(&self.task).into();
        self.feed.turn(&Context::from_waker(&waker), in_hand)
    }

    /// What the worker is told, connection by connection.
    fn announced(&self) -> Vec<(usize, bool)> {
        let mut pipes = Vec::new();
        self.ready.take(&mut pipes);
        pipes
            .iter()
            .filter_map(|pipe| pipe.take_readiness())
            .map(|(token, readiness)| (token, readiness.read_closed))
            .collect()
    }

    fn read(&mut self, most: usize) -> Result<Vec<u8>, ErrorKind> {
        let mut bytes = vec![0; most];
        let count = self.pipe.read(&mut bytes).map_err(|error| error.kind())?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.pipe.write(bytes).map_err(|error| error.kind())
    }

    fn task_woken(&self) -> usize {
        self.task.0.swap(0, Ordering::Relaxed)
    }
}

#[test]
fn what_the_peer_sends_is_announced_once_until_the_worker_looks() {
    let mut rig = Rig::new();
    assert_eq!(rig.read(9), Err(ErrorKind::WouldBlock));
    rig.feed.push(b"ab");
    rig.feed.push(b"cd");
    assert_eq!(rig.worker_woken.load(Ordering::Relaxed), 1);
    assert_eq!(rig.announced(), [(7, false)]);
    assert_eq!(rig.read(3), Ok(b"abc".to_vec()));
    rig.feed.push(b"ef");
    assert_eq!(rig.announced(), [(7, false)]);
    assert_eq!(rig.read(9), Ok(b"def".to_vec()));
    assert_eq!(rig.read(9), Err(ErrorKind::WouldBlock));
    rig.feed.push(b"last");
    rig.feed.finish();
    assert_eq!(rig.announced(), [(7, true)]);
    assert_eq!(rig.read(9), Ok(b"last".to_vec()));
    assert_eq!(rig.read(9), Ok(Vec::new()));
}

#[test]
fn credit_is_given_for_what_was_read_and_the_task_woken_at_half_the_window() {
    let mut rig = Rig::new();
    assert_eq!(rig.turn(0).credit, 0);
    rig.feed.push(&[1; 100]);
    rig.read(49).unwrap();
    assert_eq!(rig.task_woken(), 0);
    rig.read(1).unwrap();
    assert_eq!(rig.task_woken(), 1);
    assert_eq!(rig.turn(0).credit, 50);
    assert_eq!(rig.turn(0).credit, 0);
}

#[test]
fn worker_may_write_as_much_as_there_is_room_and_is_told_of_more() {
    let mut rig = Rig::new();
    rig.turn(0);
    assert_eq!(rig.write(&[1; 8]), Ok(8));
    assert_eq!(rig.task_woken(), 1);
    assert_eq!(rig.write(&[2; 8]), Ok(2));
    assert_eq!(rig.write(&[3]), Err(ErrorKind::WouldBlock));
    // What the task holds takes room still.
    let turn = rig.turn(0);
    assert_eq!(turn.bytes.len(), 10);
    assert_eq!(rig.write(&[3]), Err(ErrorKind::WouldBlock));
    assert_eq!(rig.announced(), []);
    rig.turn(6);
    assert_eq!(rig.write(&[4; 8]), Ok(4));
    assert_eq!(rig.write(&[4]), Err(ErrorKind::WouldBlock));
    let turn = rig.turn(1);
    assert!(turn.bytes.is_empty() && turn.more);
    assert_eq!(rig.announced(), [(7, false)], "half of it is free");
    assert_eq!(rig.turn(0).bytes, [4; 4]);
}

#[test]
fn slices_are_taken_together() {
    let mut rig = Rig::new();
    let parts = [b"one", b"two", b"six", b"ten"];
    let slices = parts.map(|part| IoSlice::new(part));
    assert_eq!(rig.pipe.write_vectored(&slices).unwrap(), 10);
    assert_eq!(rig.turn(0).bytes, b"onetwosixt");
}

#[test]
fn task_is_told_how_far_the_worker_is() {
    let mut rig = Rig::new();
    let waker = Arc::clone(&rig.task).into();
    let cx = Context::from_waker(&waker);
    assert_eq!(rig.feed.poll_opened(&cx), Poll::Pending);
    rig.pipe.opened();
    assert_eq!(rig.task_woken(), 1);
    assert_eq!(rig.feed.poll_opened(&cx), Poll::Ready(true));
    assert_eq!(rig.turn(0).worker_end, WorkerEnd::Sending);
    rig.write(b"bye").unwrap();
    rig.pipe.shutdown();
    assert!(rig.task_woken() > 0);
    let turn = rig.turn(0);
    assert_eq!(
        (turn.bytes.as_slice(), turn.worker_end),
        (&b"bye"[..], WorkerEnd::Finished)
    );
    let Rig {
        pipe, feed, task, ..
    } = rig;
    drop(pipe);
    assert_eq!(task.0.load(Ordering::Relaxed), 1);
    assert_eq!(feed.turn(&cx, 0).worker_end, WorkerEnd::Gone);
    // Nobody is there to be told.
    feed.push(b"x");
    feed.finish();
}

#[test]
fn worker_that_does_not_open_it_is_noticed() {
    let Rig {
        pipe, feed, task, ..
    } = Rig::new();
    let waker = Arc::clone(&task).into();
    let cx = Context::from_waker(&waker);
    assert_eq!(feed.poll_opened(&cx), Poll::Pending);
    drop(pipe);
    assert_eq!(task.0.load(Ordering::Relaxed), 1);
    assert_eq!(feed.poll_opened(&cx), Poll::Ready(false));
}

#[test]
fn feed_that_is_dropped_breaks_the_connection() {
    let mut rig = Rig::new();
    rig.feed.push(b"lost");
    rig.write(b"lost too").unwrap();
    let (_, other) = pipe(Arc::clone(&rig.ready), 1, 1);
    drop(std::mem::replace(&mut rig.feed, other));
    assert_eq!(rig.announced(), [(7, true)]);
    assert_eq!(rig.read(9), Err(ErrorKind::ConnectionReset));
    assert_eq!(rig.write(b"x"), Err(ErrorKind::BrokenPipe));
}

#[test]
fn silent_pipe_owns_no_buffer() {
    let mut rig = Rig::new();
    rig.feed.push(&[1; 50]);
    rig.read(100).unwrap();
    rig.write(b"some").unwrap();
    rig.turn(0);
    let state = rig.pipe.shared.lock();
    assert_eq!(
        (state.inbound.capacity(), state.outbound.capacity()),
        (0, 0)
    );
}
