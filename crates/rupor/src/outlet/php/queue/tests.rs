use super::*;
use crate::outlet::php::wire::EventKind::{Close, Line, Open, Text, Timer, Told, Upgrade};

const LIMITS: Limits = Limits {
    events_max: 1000,
    bytes_max: 1 << 20,
};
const ANNA: ConnectionId = ConnectionId(1);
const BORIS: ConnectionId = ConnectionId(2);

fn queue() -> Queue {
    Queue::new(LIMITS)
}

fn open(queue: &mut Queue, connection: ConnectionId) {
    let known = Known::new("\"target\":\"/\"".into(), None);
    queue.open(connection, known).unwrap();
}

fn text(queue: &mut Queue, connection: ConnectionId, text: &str) {
    queue.push(Text, connection.0, text.as_bytes()).unwrap();
}

/// What is handed out now: kind, subject and body of each.
fn taken(queue: &mut Queue) -> Vec<(u8, u64, String)> {
    let mut out = Vec::new();
    queue.take(&mut out);
    let mut rest = &out[..];
    let mut frames = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        let subject = u64::from_be_bytes(frame[1..9].try_into().unwrap());
        frames.push((
            frame[0],
            subject,
            String::from_utf8(frame[9..].to_vec()).unwrap(),
        ));
        rest = after;
    }
    frames
}

fn kinds(queue: &mut Queue) -> Vec<(u8, u64)> {
    taken(queue)
        .into_iter()
        .map(|(kind, subject, _)| (kind, subject))
        .collect()
}

const fn of(kind: EventKind, connection: ConnectionId) -> (u8, u64) {
    (kind as u8, connection.0)
}

#[test]
fn few_are_under_way_and_the_next_follow_what_is_done() {
    let mut queue = queue();
    open(&mut queue, ANNA);
    for _ in 0..100 {
        text(&mut queue, ANNA, "x");
    }
    assert_eq!(taken(&mut queue).len(), UNDER_WAY_MAX);
    assert_eq!(taken(&mut queue), []);
    assert!(queue.done(10));
    assert_eq!(taken(&mut queue).len(), 10);
    assert!(queue.done(74));
    assert_eq!(taken(&mut queue).len(), 27);
    assert!(!queue.done(1000), "more than there were");
}

#[test]
fn limits_hold_and_closes_pass_them() {
    let mut queue = Queue::new(Limits {
        events_max: 3,
        bytes_max: 1000,
    });
    open(&mut queue, ANNA);
    assert_eq!(queue.push(Text, 1, &[b'x'; 1000]), Err(Full));
    text(&mut queue, ANNA, "1");
    text(&mut queue, ANNA, "2");
    assert_eq!(queue.push(Text, 1, b"3"), Err(Full));
    let late = Known::new("".into(), None);
    assert_eq!(queue.open(BORIS, late), Err(Full));
    queue.close(BORIS, b"");
    queue.close(ANNA, b"");
    assert_eq!(
        kinds(&mut queue),
        [
            of(Open, ANNA),
            of(Text, ANNA),
            of(Text, ANNA),
            of(Close, ANNA)
        ],
        "nobody hears of who did not open"
    );
}

#[test]
fn what_a_killed_process_had_has_failed_and_the_next_one_is_told_of_connections() {
    let mut queue = queue();
    open(&mut queue, ANNA);
    text(&mut queue, ANNA, "done");
    text(&mut queue, ANNA, "lost");
    taken(&mut queue);
    queue.done(2);
    text(&mut queue, ANNA, "waits");
    let lost = queue.end(false);
    assert_eq!(lost.failed.len(), 1);
    assert_eq!(&*lost.failed[0].body, b"lost");
    let resumed = r#"{"target":"/","user":null,"resumed":true}"#.to_owned();
    assert_eq!(
        taken(&mut queue),
        [(Open as u8, 1, resumed), (Text as u8, 1, "waits".into())]
    );
}

#[test]
fn what_was_not_begun_goes_to_the_next_process_in_order() {
    let mut queue = queue();
    open(&mut queue, ANNA);
    text(&mut queue, ANNA, "the end");
    open(&mut queue, BORIS);
    text(&mut queue, ANNA, "2");
    queue.push(Upgrade, 7, b"").unwrap();
    queue.tick(1);
    queue.close(ANNA, b"");
    queue.push(Told, 0, b"").unwrap();
    taken(&mut queue);
    queue.done(1);
    text(&mut queue, BORIS, "3");
    let lost = queue.end(true);
    assert_eq!(&*lost.failed[0].body, b"the end");
    assert_eq!(lost.failed.len(), 1);
    assert_eq!(
        kinds(&mut queue),
        [
            of(Open, ANNA),
            of(Open, BORIS),
            of(Text, ANNA),
            (Upgrade as u8, 7),
            of(Close, ANNA),
            (Told as u8, 0),
            of(Text, BORIS),
        ]
    );
    queue.done(7);
    assert_eq!(queue.end(false), Lost::default());
    assert_eq!(kinds(&mut queue), [of(Open, BORIS)], "anna is gone");
}

#[test]
fn a_connection_whose_opening_ends_processes_is_closed() {
    let mut queue = queue();
    open(&mut queue, ANNA);
    text(&mut queue, ANNA, "never");
    open(&mut queue, BORIS);
    taken(&mut queue);
    assert_eq!(queue.end(true).to_close, []);
    taken(&mut queue);
    assert_eq!(queue.end(true).to_close, [ANNA]);
    assert_eq!(kinds(&mut queue), [of(Open, BORIS)]);
    queue.close(ANNA, b"");
    assert_eq!(queue.waiting(), 0);
}

#[test]
fn timers_do_not_pile_up() {
    let mut queue = queue();
    assert!(queue.tick(1));
    assert!(!queue.tick(1));
    assert_eq!(kinds(&mut queue), [(Timer as u8, 1)]);
    assert!(!queue.tick(1));
    queue.done(1);
    assert!(queue.tick(3));
}

#[test]
fn who_a_connection_is_and_what_is_attached_is_told_again() {
    let mut queue = queue();
    open(&mut queue, ANNA);
    taken(&mut queue);
    queue.done(1);
    let known = queue.known(ANNA).unwrap();
    known.user = Some("an\"na".into());
    known.attached = Some("[1]".into());
    queue.end(false);
    let body = r#"{"target":"/","user":"an\"na","resumed":true,"attached":[1]}"#;
    assert_eq!(taken(&mut queue), [(Open as u8, 1, body.to_owned())]);
}

// Each process that was handed nothing added an `open`: handlers were told of a connection as often as they had failed to start.
#[test]
fn a_connection_is_resumed_once_after_processes_that_were_handed_nothing() {
    let mut queue = queue();
    open(&mut queue, ANNA);
    taken(&mut queue);
    queue.done(1);
    open(&mut queue, BORIS);
    for _ in 0..3 {
        queue.end(false);
    }
    assert_eq!(kinds(&mut queue), [of(Open, ANNA), of(Open, BORIS)]);
}

#[test]
fn a_shut_queue_keeps_what_must_not_be_lost_and_refuses_the_rest() {
    let mut queue = queue();
    open(&mut queue, ANNA);
    taken(&mut queue);
    queue.done(1);
    queue.end(false);
    open(&mut queue, BORIS);
    queue.close(BORIS, b"");
    queue.push(Line, 7, b"waits").unwrap();
    queue.push(Upgrade, 1, b"").unwrap();
    queue.push(Told, 1, b"").unwrap();
    text(&mut queue, ANNA, "dropped");
    let thrown_out = queue.shut().unwrap();
    let thrown_out: Vec<_> = thrown_out.iter().map(|event| event.kind).collect();
    assert_eq!(thrown_out, [Open, Upgrade, Told, Text]);
    assert_eq!(queue.shut(), None);
    assert_eq!(queue.push(Text, ANNA.0, b""), Err(Full));
    let known = Known::new("\"target\":\"/\"".into(), None);
    assert_eq!(queue.open(BORIS, known), Err(Full));
    queue.close(ANNA, b"");
    assert!(queue.reopen());
    assert!(!queue.reopen());
    text(&mut queue, ANNA, "taken");
    assert_eq!(
        kinds(&mut queue),
        [
            of(Open, ANNA),
            (Line as u8, 7),
            of(Close, ANNA),
            of(Text, ANNA)
        ]
    );
}
