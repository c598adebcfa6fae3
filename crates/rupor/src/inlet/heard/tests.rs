use super::{Heard, MESSAGE_COST, Stats, Waiting, object, queue};
use std::sync::Arc;
use tokio::sync::Semaphore;

const PUBLICATION: &str = r#"{"all":true,"message":"1"}"#;

/// A queue for messages as long as [`PUBLICATION`], with room for two of them.
fn short() -> (Heard, Waiting) {
    let (mut heard, waiting) = queue("a test", PUBLICATION.len(), &Arc::new(Stats::default()));
    heard.room = Arc::new(Semaphore::new(2 * (PUBLICATION.len() + MESSAGE_COST)));
    (heard, waiting)
}

fn counted(heard: &Heard, result: &str) -> u64 {
    let counts = heard.stats.counts();
    let count = counts.messages.iter().find(|(label, _)| *label == result);
    count.unwrap().1
}

#[test]
fn one_more_than_the_queue_has_room_for_is_dropped_and_counted() {
    let (mut heard, mut waiting) = short();
    for _ in 0..3 {
        heard.take(PUBLICATION.as_bytes(), object);
    }
    assert_eq!((waiting.queue.len(), counted(&heard, "dropped")), (2, 1));
    // When one is published there is room again.
    drop(waiting.queue.try_recv().unwrap());
    heard.take(PUBLICATION.as_bytes(), object);
    assert_eq!((waiting.queue.len(), counted(&heard, "dropped")), (2, 1));
}

#[test]
fn a_message_one_byte_over_the_limit_is_not_published() {
    let (mut heard, waiting) = short();
    heard.take(format!("{PUBLICATION} ").as_bytes(), object);
    assert_eq!((waiting.queue.len(), counted(&heard, "too_long")), (0, 1));
    heard.take(PUBLICATION.as_bytes(), object);
    heard.take(b"{", object);
    assert_eq!((waiting.queue.len(), counted(&heard, "wrong")), (1, 1));
}
