//! The chat against a recording of what it does; with sockets it is tested in `gateway/tests`.

use super::*;
use rupor_proto::{CloseCode, Initiator};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// One connection: what the chat told it, and what it published on its behalf.
struct Talk {
    connection: ConnectionId,
    user: Option<String>,
    path: &'static str,
    told: Vec<Value>,
    published: Vec<(Value, Option<ConnectionId>)>,
    subscribed: usize,
    overloaded: bool,
}

impl Talk {
    fn new(connection: u64, user: &str, path: &'static str) -> Self {
        Self {
            connection: ConnectionId(connection),
            user: (!user.is_empty()).then(|| user.to_owned()),
            path,
            told: vec![],
            published: vec![],
            subscribed: 0,
            overloaded: false,
        }
    }

    fn error(&self) -> &str {
        let last = self.told.last().unwrap();
        assert_eq!(last["type"], "error");
        last["text"].as_str().unwrap()
    }
}

impl Conversation for Talk {
    fn connection(&self) -> ConnectionId {
        self.connection
    }
    fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
    fn path(&self) -> &str {
        self.path
    }
    fn send(&mut self, message: Message<'_>) {
        self.told
            .push(serde_json::from_slice(message.as_bytes()).unwrap());
    }
    fn subscribe(&mut self, channel: &str) -> Result<(), PublishError> {
        assert_eq!(channel, CHANNEL);
        self.subscribed += 1;
        Ok(())
    }
    fn unsubscribe(&mut self, _: &str) -> Result<(), PublishError> {
        unreachable!("closing ends subscriptions")
    }
    fn publish(&mut self, publish: Publish) -> Result<(), PublishError> {
        if self.overloaded {
            return Err(PublishError::Overloaded);
        }
        assert_eq!(publish.target, Target::Channel(CHANNEL.into()));
        self.published.push((
            serde_json::from_str(&publish.body).unwrap(),
            publish.exclude,
        ));
        Ok(())
    }
    fn close(&mut self, _: CloseCode, _: &str) {
        unreachable!("the chat closes nobody")
    }
}

/// A chat and the time that it is told.
fn chat() -> (Chat, Arc<AtomicU64>) {
    let now_ms = Arc::new(AtomicU64::new(1_700_000_000_000));
    let clock = Arc::clone(&now_ms);
    (
        Chat::new(Clock::from_fn(move || clock.load(Ordering::Relaxed))),
        now_ms,
    )
}

fn close() -> Close {
    Close {
        code: CloseCode::NORMAL,
        reason: String::new(),
        initiator: Initiator::Peer,
        clean: true,
        error: None,
    }
}

fn say(chat: &Chat, talk: &mut Talk, text: &str) {
    chat.on_message(talk, Message::Text(text));
}

#[test]
fn on_chat_one_joins_at_opening() {
    let (chat, _) = chat();
    let mut anna = Talk::new(1, "anna", "/chat");
    chat.on_open(&mut anna, None);
    let hello = json!({
        "type": "hello", "you": "anna", "connection": "0000000000000001",
        "online": ["anna"], "history": [],
    });
    assert_eq!(anna.told, [hello]);
    assert_eq!(anna.subscribed, 1);
    let join = json!({"type": "join", "user": "anna", "online": 1});
    assert_eq!(anna.published, [(join, Some(ConnectionId(1)))]);
}

#[test]
fn elsewhere_one_joins_with_the_first_line_and_hears_nothing_before() {
    let (chat, _) = chat();
    let mut anna = Talk::new(1, "anna", "/");
    chat.on_open(&mut anna, None);
    assert_eq!(
        (anna.told.len(), anna.subscribed, anna.published.len()),
        (0, 0, 0)
    );
    say(&chat, &mut anna, " hi \n");
    assert_eq!(anna.told[0]["type"], "hello");
    assert_eq!(anna.told[0]["history"], json!([]));
    let line =
        json!({"type": "message", "user": "anna", "text": "hi", "at": 1_700_000_000_000_u64});
    assert_eq!(anna.published[1], (line, None));
    say(&chat, &mut anna, "again");
    assert_eq!(
        (anna.told.len(), anna.subscribed, anna.published.len()),
        (1, 1, 3)
    );
}

#[test]
fn a_name_joins_and_leaves_once_however_many_connections_it_has() {
    let (chat, _) = chat();
    let mut tabs = [Talk::new(1, "anna", "/chat"), Talk::new(2, "anna", "/chat")];
    tabs.iter_mut().for_each(|tab| chat.on_open(tab, None));
    assert_eq!((tabs[0].published.len(), tabs[1].published.len()), (1, 0));
    tabs.iter_mut().for_each(|tab| chat.on_close(tab, &close()));
    assert_eq!((tabs[0].published.len(), tabs[1].published.len()), (1, 1));
    let leave = json!({"type": "leave", "user": "anna", "online": 0});
    assert_eq!(tabs[1].published[0].0, leave);
    let state = chat.state();
    assert!(state.members.is_empty() && state.names.is_empty());
}

#[test]
fn who_has_no_name_is_a_guest_of_a_free_name() {
    let (chat, _) = chat();
    let mut named = Talk::new(1, "guest-1", "/chat");
    chat.on_open(&mut named, None);
    let mut guests = [Talk::new(2, "", "/chat"), Talk::new(3, "", "/chat")];
    guests
        .iter_mut()
        .for_each(|guest| chat.on_open(guest, None));
    assert_eq!(guests[0].told[0]["you"], "guest-2");
    assert_eq!(guests[1].told[0]["you"], "guest-3");
    assert_eq!(
        guests[1].told[0]["online"],
        json!(["guest-1", "guest-2", "guest-3"])
    );
}

#[test]
fn history_keeps_the_last_lines() {
    let (chat, now_ms) = chat();
    let mut anna = Talk::new(1, "anna", "/chat");
    for line in 0..=HISTORY_LINES_MAX {
        now_ms.fetch_add(LINE_INTERVAL_MS, Ordering::Relaxed);
        say(&chat, &mut anna, &line.to_string());
    }
    let mut boris = Talk::new(2, "boris", "/chat");
    chat.on_open(&mut boris, None);
    let history = boris.told[0]["history"].as_array().unwrap();
    assert_eq!(history.len(), HISTORY_LINES_MAX);
    assert_eq!(history[0]["text"], "1");
    assert_eq!(
        history[HISTORY_LINES_MAX - 1]["text"],
        HISTORY_LINES_MAX.to_string()
    );
}

#[test]
fn a_flood_is_stopped_and_may_go_on_later() {
    let (chat, now_ms) = chat();
    let mut anna = Talk::new(1, "anna", "/chat");
    chat.on_open(&mut anna, None);
    for _ in 0..LINES_BURST + 1 {
        say(&chat, &mut anna, "spam");
    }
    assert_eq!(anna.published.len() as u64, 1 + LINES_BURST);
    assert_eq!(
        anna.error(),
        "not so fast: 5 lines at once, then one a second"
    );
    now_ms.fetch_add(LINE_INTERVAL_MS, Ordering::Relaxed);
    say(&chat, &mut anna, "one");
    say(&chat, &mut anna, "two");
    assert_eq!(anna.published.len() as u64, 2 + LINES_BURST);
    // A clock that is set back by an hour does not silence for an hour.
    now_ms.fetch_sub(3_600_000, Ordering::Relaxed);
    say(&chat, &mut anna, "three");
    now_ms.fetch_add(LINE_INTERVAL_MS, Ordering::Relaxed);
    say(&chat, &mut anna, "four");
    assert_eq!(anna.published.last().unwrap().0["text"], "four");
}

#[test]
fn what_is_no_line_is_refused_and_the_sender_told() {
    let (chat, _) = chat();
    let mut anna = Talk::new(1, "anna", "/chat");
    chat.on_open(&mut anna, None);
    say(&chat, &mut anna, &"x".repeat(LINE_BYTES_MAX));
    assert_eq!(anna.published.len(), 2);
    say(&chat, &mut anna, &"x".repeat(LINE_BYTES_MAX + 1));
    assert_eq!(anna.error(), "a line is at most 2000 bytes");
    chat.on_message(&mut anna, Message::Binary(b"x"));
    assert_eq!(anna.error(), "the chat takes text");
    let told = anna.told.len();
    say(&chat, &mut anna, " \n");
    assert_eq!((anna.told.len(), anna.published.len()), (told, 2));
    anna.overloaded = true;
    say(&chat, &mut anna, "x");
    assert_eq!(
        anna.error(),
        "a worker has too much to do: try again in a moment"
    );
    assert_eq!(
        chat.state().history.len(),
        1,
        "what nobody got is not in the history"
    );
}

#[test]
fn the_chat_and_its_list_of_names_have_limits() {
    let (chat, _) = chat();
    for connection in 0..MEMBERS_MAX as u64 {
        let mut talk = Talk::new(connection, &format!("user{connection:05}"), "/chat");
        chat.on_open(&mut talk, None);
    }
    let mut late = Talk::new(MEMBERS_MAX as u64, "zoe", "/chat");
    chat.on_open(&mut late, None);
    assert_eq!(late.error(), "the chat is full: come back later");
    chat.on_close(&mut Talk::new(0, "user00000", "/chat"), &close());
    chat.on_open(&mut late, None);
    let online = late.told[1]["online"].as_array().unwrap();
    assert_eq!(online.len(), ONLINE_NAMES_MAX);
    assert_eq!(
        online[ONLINE_NAMES_MAX - 1],
        "zoe",
        "one's own name is always there"
    );
}
