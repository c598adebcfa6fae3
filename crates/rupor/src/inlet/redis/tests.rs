use super::{Inlet, MESSAGE_COST, Queued, Quiet, Stats};
use crate::config::{RedisConfig, Secret};
use ::redis::{Client, Msg, Value};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// An inlet for messages as long as this one, with room for `messages` of them.
fn inlet(payload: &str, messages: usize) -> (Inlet, mpsc::UnboundedReceiver<Queued>) {
    let (queue, waiting) = mpsc::unbounded_channel();
    let config = RedisConfig {
        url: Secret::new("redis://127.0.0.1"),
        channels: vec!["rupor".to_owned()],
        laravel_prefix: None,
    };
    let inlet = Inlet {
        client: Client::open("redis://127.0.0.1").unwrap(),
        config,
        bytes_max: payload.len(),
        stats: Arc::new(Stats::default()),
        room: Arc::new(Semaphore::new(messages * (payload.len() + MESSAGE_COST))),
        queue,
        log: Quiet::default(),
    };
    (inlet, waiting)
}

fn message(payload: &str) -> Msg {
    let texts = ["message", "rupor", payload].map(|text| Value::BulkString(text.into()));
    Msg::from_value(&Value::Array(texts.into())).unwrap()
}

fn counted(inlet: &Inlet, result: &str) -> u64 {
    let counts = inlet.stats.counts();
    let count = counts.messages.iter().find(|(label, _)| *label == result);
    count.unwrap().1
}

const PUBLICATION: &str = r#"{"all":true,"message":"1"}"#;

#[test]
fn one_more_than_the_queue_has_room_for_is_dropped_and_counted() {
    let (mut inlet, mut waiting) = inlet(PUBLICATION, 2);
    for _ in 0..3 {
        inlet.take(&message(PUBLICATION));
    }
    assert_eq!((waiting.len(), counted(&inlet, "dropped")), (2, 1));
    // When one is published there is room again.
    drop(waiting.try_recv().unwrap());
    inlet.take(&message(PUBLICATION));
    assert_eq!((waiting.len(), counted(&inlet, "dropped")), (2, 1));
}

#[test]
fn a_message_one_byte_over_the_limit_is_not_published() {
    let (mut inlet, waiting) = inlet(PUBLICATION, 2);
    inlet.take(&message(&format!("{PUBLICATION} ")));
    assert_eq!((waiting.len(), counted(&inlet, "too_long")), (0, 1));
    inlet.take(&message(PUBLICATION));
    inlet.take(&message("{"));
    assert_eq!((waiting.len(), counted(&inlet, "wrong")), (1, 1));
}
