//! The queue alone, against a writer that takes little at a time.

use proptest::prelude::*;
use rupor_proto::{Frame, Message};

use super::*;

const NOW: Time = Time::from_millis(0);

/// Takes `step` bytes a call and would block after `room`.
struct Narrow {
    taken: Vec<u8>,
    step: usize,
    room: usize,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(self.step).min(self.room);
        self.taken.extend_from_slice(&bytes[..count]);
        self.room -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn filled() -> (Outbox, Vec<u8>) {
    let mut outbox = Outbox::default();
    let mut expected = Vec::new();
    for n in 0..200_u8 {
        let frame = Frame::new(Message::Binary(&[n; 40]));
        expected.extend_from_slice(frame.as_bytes());
        outbox.push_frame(Outgoing::from(&frame), None, NOW);
        outbox.push_bytes(&[n, n], NOW);
        outbox.push_bytes(b"own", NOW);
        expected.extend_from_slice(&[n, n]);
        expected.extend_from_slice(b"own");
    }
    (outbox, expected)
}

#[test]
fn short_writes_lose_and_repeat_nothing() {
    for step in [1, 3, 44, 1000, usize::MAX] {
        let (mut outbox, expected) = filled();
        let mut to = Narrow {
            taken: Vec::new(),
            step,
            room: 0,
        };
        while !outbox.is_empty() {
            to.room = 777;
            let written = outbox.write_to(&mut to, NOW).unwrap();
            assert_eq!(written.blocked, !outbox.is_empty());
            assert_eq!(outbox.bytes(), expected.len() - to.taken.len());
        }
        assert!(to.taken == expected, "step {step}");
        assert_eq!(outbox.bytes(), 0);
    }
}

/// Takes everything, and remembers how: the bytes of each plain write, the slices of each vectored one.
#[derive(Default)]
struct Calls {
    plain: Vec<usize>,
    vectored: Vec<usize>,
    taken: Vec<u8>,
}

impl Write for Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.plain.push(bytes.len());
        self.taken.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.vectored.push(slices.len());
        for slice in slices {
            self.taken.extend_from_slice(slice);
        }
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn short_chunks_leave_together_in_a_plain_write_up_to_a_limit() {
    for more in [0, 1] {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        let (frames, head) = (16, 4);
        for n in 0..frames {
            let more = if n == 0 { more } else { 0 };
            let frame = frame(n, TOGETHER_BYTES_MAX / frames - head + more);
            expected.extend_from_slice(frame.as_bytes());
            outbox.push_frame(Outgoing::from(&frame), None, NOW);
        }
        assert_eq!(expected.len(), TOGETHER_BYTES_MAX + more);
        let mut to = Calls::default();
        outbox.write_to(&mut to, NOW).unwrap();
        assert!(outbox.is_empty() && to.taken == expected);
        if more == 0 {
            assert_eq!((to.plain, to.vectored), (vec![TOGETHER_BYTES_MAX], vec![]));
        } else {
            assert_eq!((to.plain, to.vectored), (vec![], vec![frames]));
        }
    }
}

#[test]
fn forgetting_keeps_what_the_peer_has_half_of() {
    let (mut outbox, expected) = filled();
    let mut to = Narrow {
        taken: Vec::new(),
        step: usize::MAX,
        room: 50,
    };
    outbox.write_to(&mut to, NOW).unwrap();
    outbox.forget_unwritten();
    outbox.push_bytes(b"close", NOW);
    to.room = usize::MAX;
    outbox.write_to(&mut to, NOW).unwrap();
    // 50 bytes end inside the second frame (42 + 5 + 42).
    assert_eq!(to.taken.len(), 42 + 5 + 42 + 5);
    assert_eq!(to.taken[..89], expected[..89]);
    assert_eq!(&to.taken[89..], b"close");
}

#[test]
fn progress_is_the_last_time_that_something_was_taken() {
    let (mut outbox, _) = filled();
    let mut to = Narrow {
        taken: Vec::new(),
        step: 1,
        room: 1,
    };
    outbox.write_to(&mut to, Time::from_millis(5)).unwrap();
    assert_eq!(outbox.progress(), Time::from_millis(5));
    outbox.write_to(&mut to, Time::from_millis(9)).unwrap();
    assert_eq!(outbox.progress(), Time::from_millis(5));
}

fn frame(n: usize, len: usize) -> Frame {
    let mut payload = n.to_be_bytes().to_vec();
    payload.resize(len.max(payload.len()), b'.');
    Frame::new(Message::Binary(&payload))
}

fn lane(n: usize) -> Arc<Lane> {
    let key = (n > 0).then(|| Arc::from(n.to_string()));
    let topic = "topic".into();
    Arc::new(Lane { topic, key })
}

fn wide() -> Narrow {
    Narrow {
        taken: Vec::new(),
        step: usize::MAX,
        room: usize::MAX,
    }
}

/// RFC 6455 §5.4: control frames go between frames, never inside one.
#[test]
fn control_frames_overtake_what_was_not_begun() {
    for begun in 0..=20 {
        let mut outbox = Outbox::default();
        let (one, two) = (frame(1, 8), frame(2, 8));
        outbox.push_frame(Outgoing::from(&one), None, NOW);
        outbox.push_frame(Outgoing::from(&two), None, NOW);
        let mut to = Narrow {
            room: begun,
            ..wide()
        };
        outbox.write_to(&mut to, NOW).unwrap();
        assert!(outbox.push_control(b"PING", NOW));
        to.room = usize::MAX;
        outbox.write_to(&mut to, NOW).unwrap();
        let (one, two) = (one.as_bytes(), two.as_bytes());
        let expected = match begun {
            0 => [b"PING", one, two].concat(),
            1..=10 => [one, b"PING", two].concat(),
            _ => [one, two, b"PING"].concat(),
        };
        assert_eq!(to.taken, expected, "{begun}");
        assert!(outbox.is_empty());
    }
}

#[test]
fn control_frames_have_a_reserve_and_not_one_byte_more() {
    let mut outbox = Outbox::default();
    outbox.push_frame(Outgoing::from(&frame(1, 8)), None, NOW);
    let data = outbox.bytes();
    assert!(outbox.push_control(&[7; CONTROL_BYTES_MAX - 1], NOW));
    assert!(!outbox.push_control(&[7; 2], NOW));
    assert!(outbox.push_control(&[7; 1], NOW));
    assert!(!outbox.push_control(&[7; 1], NOW));
    assert_eq!(
        (outbox.bytes(), outbox.frames()),
        (data, 1),
        "not counted as data"
    );
    let mut to = Narrow {
        room: CONTROL_BYTES_MAX - 1,
        ..wide()
    };
    outbox.write_to(&mut to, NOW).unwrap();
    // The peer has half of them: they stay, and what was not begun goes.
    outbox.forget_unwritten();
    outbox.push_bytes(b"close", NOW);
    to.room = usize::MAX;
    outbox.write_to(&mut to, NOW).unwrap();
    assert_eq!(to.taken, [&[7; CONTROL_BYTES_MAX][..], b"close"].concat());
}

/// RFC 6455 §5.5.1: nothing comes behind a Close frame.
#[test]
fn no_control_frame_comes_behind_a_close_frame() {
    let mut outbox = Outbox::default();
    outbox.push_bytes(b"message", NOW);
    let mut to = Narrow { room: 3, ..wide() };
    outbox.write_to(&mut to, NOW).unwrap();
    assert!(outbox.push_control(b"PING", NOW));
    outbox.push_bytes(b"close", NOW);
    to.room = usize::MAX;
    outbox.write_to(&mut to, NOW).unwrap();
    assert_eq!(to.taken, b"messagePINGclose");
}

#[test]
fn newest_pong_takes_the_place_of_one_that_was_not_begun() {
    let mut outbox = Outbox::default();
    let pong = |n: u8| move |control: &mut Vec<u8>| control.extend([n; PONG_BYTES_MAX]);
    outbox.push_frame(Outgoing::from(&frame(1, 8)), None, NOW);
    assert!(outbox.push_control(b"..", NOW));
    for n in 0..100 {
        outbox.take_pong(NOW, pong(n));
        outbox.take_pong(NOW, |_| ());
        assert_eq!(outbox.control.len(), 2 + PONG_BYTES_MAX);
    }
    let mut to = Narrow { room: 3, ..wide() };
    outbox.write_to(&mut to, NOW).unwrap();
    for n in 100..200 {
        outbox.take_pong(NOW, pong(n));
        assert_eq!(outbox.control.len(), 2 + 2 * PONG_BYTES_MAX);
    }
    // There is no room for another, so it would stay where it is.
    outbox.pong = None;
    outbox.take_pong(NOW, |_| panic!("no room"));
    to.room = 2 + 2 * PONG_BYTES_MAX - 3;
    outbox.write_to(&mut to, NOW).unwrap();
    let pongs = [[99; PONG_BYTES_MAX], [199; PONG_BYTES_MAX]].concat();
    assert_eq!(to.taken, [b"..", &pongs[..]].concat());
    assert_eq!(outbox.control, b"");
}

/// A close frame went into the middle of a message whose beginning had been written before the rest
/// of it was queued.
#[test]
fn rest_of_what_was_begun_elsewhere_is_not_forgotten() {
    let mut outbox = Outbox::default();
    outbox.push_bytes(b"rest", NOW);
    outbox.set_cut();
    outbox.push_frame(Outgoing::from(&frame(1, 8)), None, NOW);
    assert!(outbox.push_control(b"PING", NOW));
    outbox.forget_unwritten();
    outbox.push_bytes(b"close", NOW);
    let mut to = wide();
    outbox.write_to(&mut to, NOW).unwrap();
    assert_eq!(to.taken, b"restclose");
}

/// Whoever is replaced again and again behind what does not leave takes no more memory each time.
#[test]
fn places_of_what_was_left_out_do_not_pile_up() {
    let mut outbox = Outbox::default();
    outbox.push_bytes(b"first", NOW);
    let lanes = [lane(0), lane(1), lane(2)];
    for n in 0..30_000 {
        let lane = &lanes[n % 3];
        outbox.leave_out_all(lane);
        outbox.push_frame(Outgoing::from(&frame(n, 8)), Some(Arc::clone(lane)), NOW);
        assert!(outbox.places.len() <= 4 + 2 * GONE_MAX);
        assert_eq!(outbox.frames(), 2 + n.min(2));
    }
    let mut to = wide();
    outbox.write_to(&mut to, NOW).unwrap();
    assert_eq!(to.taken.len(), 5 + 3 * 10);
    assert!(outbox.lanes().is_empty());
}

/// What the queue is held against: everything by search.
#[derive(Default)]
struct Model {
    chunks: Vec<(Vec<u8>, Option<usize>, bool)>,
    control: Vec<u8>,
    control_begun: bool,
}

impl Model {
    fn waits(&self, lane: usize) -> Vec<usize> {
        let waits = |(index, (_, of, begun)): (usize, &(Vec<u8>, Option<usize>, bool))| {
            (*of == Some(lane) && !begun).then_some(index)
        };
        self.chunks.iter().enumerate().filter_map(waits).collect()
    }

    /// What leaves when so many bytes are taken.
    fn write(&mut self, mut count: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while count > 0 {
            let begun = self.chunks.first().is_some_and(|front| front.2);
            if !self.control.is_empty() && !begun {
                sent.push(self.control.remove(0));
                self.control_begun = !self.control.is_empty();
            } else if let Some((bytes, _, begun)) = self.chunks.first_mut() {
                sent.push(bytes.remove(0));
                *begun = true;
                if bytes.is_empty() {
                    self.chunks.remove(0);
                }
            }
            count -= 1;
        }
        sent
    }

    fn bytes(&self) -> usize {
        self.chunks.iter().map(|(bytes, ..)| bytes.len()).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize, Option<usize>),
    Control(usize),
    Oldest(usize),
    All(usize),
    Write(usize, usize),
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (8..60_usize, prop::option::of(0..4_usize)).prop_map(|(len, lane)| Step::Push(len, lane)),
        1 => (1..100_usize).prop_map(Step::Control),
        3 => (0..4_usize).prop_map(Step::Oldest),
        2 => (0..4_usize).prop_map(Step::All),
        4 => (1..200_usize, 1..70_usize).prop_map(|(room, step)| Step::Write(room, step)),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever is queued, left out, half written and forgotten: what leaves is what the model says,
    /// byte for byte.
    #[test]
    fn same_as_the_model(steps in steps()) {
        let (mut outbox, mut model) = (Outbox::default(), Model::default());
        let (mut taken, mut expected) = (Vec::new(), Vec::new());
        for (n, step) in steps.into_iter().chain([Step::Write(usize::MAX, usize::MAX)]).enumerate() {
            match step {
                Step::Push(len, of) => {
                    let frame = frame(n, len);
                    outbox.push_frame(Outgoing::from(&frame), of.map(lane), NOW);
                    model.chunks.push((frame.as_bytes().to_vec(), of, false));
                }
                Step::Control(len) => {
                    let frames = vec![b'c'; len];
                    // What was written of it still takes room until all of it is.
                    if outbox.push_control(&frames, NOW) {
                        model.control.extend(frames);
                    }
                }
                Step::Oldest(of) => {
                    let waits = model.waits(of);
                    prop_assert_eq!(outbox.leave_out_oldest(&lane(of)), !waits.is_empty());
                    if let Some(index) = waits.first() {
                        model.chunks.remove(*index);
                    }
                }
                Step::All(of) => {
                    let waits = model.waits(of);
                    prop_assert_eq!(outbox.leave_out_all(&lane(of)), waits.len() as u64);
                    for index in waits.into_iter().rev() {
                        model.chunks.remove(index);
                    }
                }
                Step::Write(room, step) => {
                    let mut to = Narrow { taken: Vec::new(), step, room };
                    outbox.write_to(&mut to, NOW).unwrap();
                    expected.extend(model.write(to.taken.len()));
                    prop_assert!(to.room == 0 || outbox.is_empty());
                    taken.extend(to.taken);
                }
                Step::Forget => {
                    outbox.forget_unwritten();
                    model.chunks.retain(|(_, _, begun)| *begun);
                    if !model.control_begun {
                        model.control.clear();
                    }
                }
            }
            prop_assert_eq!(outbox.bytes(), model.bytes());
            prop_assert_eq!(outbox.frames(), model.chunks.len());
            prop_assert_eq!(outbox.is_empty(), model.chunks.is_empty() && model.control.is_empty());
        }
        prop_assert_eq!(taken, expected);
        prop_assert!(outbox.is_empty());
    }
}
