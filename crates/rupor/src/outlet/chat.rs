//! The chat of demo mode: names, join and leave, lines of text, the last lines for whoever joins.
//!
//! # Frames
//!
//! The browser sends a line as a plain text frame: the line itself, no JSON. The chat sends JSON text frames:
//!
//! ```json
//! {"type":"hello","you":"anna","connection":"01a4…16 hex digits","online":["anna","boris"],"history":[{"user":"boris","text":"hi","at":1700000000000}]}
//! {"type":"join","user":"boris","online":2}
//! {"type":"leave","user":"boris","online":1}
//! {"type":"message","user":"boris","text":"hi","at":1700000000000}
//! {"type":"error","text":"not so fast: 5 lines at once, then one a second"}
//! ```
//!
//! - `hello` comes first and once, to whoever joined. `you` is the name that the others see: the connection's user, or
//!   `guest-…` when it has none. `online` is sorted, has each name once, includes `you` and is cut at 100 names.
//!   `history` is oldest first, at most 50 lines.
//! - `join` and `leave` come when a *name* comes and goes: a second tab of the same user is neither. `online` counts
//!   names. Whoever joins does not receive its own `join`.
//! - `message` comes to everybody in the chat, its sender too. `at` is milliseconds since 1970.
//! - `error` comes to the sender only; the connection stays.
//!
//! One joins at opening on the path `/chat`; on other paths with the first line sent, so that a page that only listens
//! gets exactly what the site sends, and nothing of the chat.

use super::{Conversation, Outlet};
use crate::gateway::{Clock, ConnectionId, Publish, PublishError, Target};
use rupor_proto::{Close, Message};
use rupor_server::UpgradeRequest;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The path on which one joins at opening.
const JOIN_AT_OPENING: &str = "/chat";

/// The channel in which the chat is published: the site may write there too.
const CHANNEL: &str = "chat";

/// Lines that are kept for whoever joins.
const HISTORY_LINES_MAX: usize = 50;

/// Length of a line, in bytes.
const LINE_BYTES_MAX: usize = 2_000;

/// Names in a `hello`.
const ONLINE_NAMES_MAX: usize = 100;

/// Connections in the chat.
const MEMBERS_MAX: usize = 10_000;

/// Lines that one connection may send at once.
const LINES_BURST: u64 = 5;

/// After that it may send one in so long.
const LINE_INTERVAL_MS: u64 = 1_000;

/// The chat.
///
/// Its lock is held while it publishes, so the order of its history is the order in which everybody receives it.
#[derive(Debug)]
pub(crate) struct Chat {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    members: HashMap<ConnectionId, Member>,
    /// Names and how many connections each has.
    names: BTreeMap<Arc<str>, usize>,
    history: VecDeque<Line>,
    guests: u64,
}

#[derive(Debug)]
struct Member {
    name: Arc<str>,
    /// When the lines that were sent are paid for, in milliseconds since 1970: the flood guard's whole state.
    paid_until_ms: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    user: String,
    text: String,
    at: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    Hello {
        you: &'a str,
        connection: String,
        online: Vec<&'a str>,
        history: &'a VecDeque<Line>,
    },
    Join {
        user: &'a str,
        online: usize,
    },
    Leave {
        user: &'a str,
        online: usize,
    },
    Message(&'a Line),
    Error {
        text: &'a str,
    },
}

/// Why a line or a join was not taken; its sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotTaken {
    Binary,
    TooLong,
    TooFast,
    Full,
    Gateway(PublishError),
}

impl NotTaken {
    fn text(self) -> String {
        match self {
            Self::Binary => "the chat takes text".to_owned(),
            Self::TooLong => format!("a line is at most {LINE_BYTES_MAX} bytes"),
            Self::TooFast => format!("not so fast: {LINES_BURST} lines at once, then one a second"),
            Self::Full => "the chat is full: come back later".to_owned(),
            Self::Gateway(error) => error.to_string(),
        }
    }
}

impl From<PublishError> for NotTaken {
    fn from(error: PublishError) -> Self {
        Self::Gateway(error)
    }
}

impl Chat {
    /// An empty chat.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(
        &self,
        conversation: &mut dyn Conversation,
        message: Message<'_>,
    ) -> Result<(), NotTaken> {
        let text = message.as_text().ok_or(NotTaken::Binary)?.trim();
        if text.is_empty() {
            return Ok(());
        }
        if text.len() > LINE_BYTES_MAX {
            return Err(NotTaken::TooLong);
        }
        let now_ms = self.clock.now_ms();
        let mut state = self.state();
        state.join(conversation)?;
        let Some(member) = state.members.get_mut(&conversation.connection()) else {
            return Ok(());
        };
        let user = member.pay_for_a_line(now_ms).ok_or(NotTaken::TooFast)?;
        let line = Line {
            user: user.to_string(),
            text: text.to_owned(),
            at: now_ms,
        };
        publish(conversation, &Event::Message(&line), None)?;
        if state.history.len() >= HISTORY_LINES_MAX {
            state.history.pop_front();
        }
        state.history.push_back(line);
        Ok(())
    }
}

impl Outlet for Chat {
    fn on_open(&self, conversation: &mut dyn Conversation, _: Option<Box<UpgradeRequest>>) {
        if conversation.path() == JOIN_AT_OPENING
            && let Err(not_taken) = self.state().join(conversation)
        {
            tell(conversation, not_taken);
        }
    }

    fn on_message(&self, conversation: &mut dyn Conversation, message: Message<'_>) {
        if let Err(not_taken) = self.say(conversation, message) {
            tell(conversation, not_taken);
        }
    }

    fn on_close(&self, conversation: &mut dyn Conversation, _: &Close) {
        self.state().leave(conversation);
    }
}

impl State {
    /// Lets a connection in that is not in yet.
    fn join(&mut self, conversation: &mut dyn Conversation) -> Result<(), NotTaken> {
        let connection = conversation.connection();
        if self.members.contains_key(&connection) {
            return Ok(());
        }
        if self.members.len() >= MEMBERS_MAX {
            return Err(NotTaken::Full);
        }
        let name = match conversation.user() {
            Some(user) => Arc::from(user),
            None => self.guest_name(),
        };
        // From here on it receives what is published; what was is in the history. Nothing is in between: every
        // publication of the chat is made under this lock.
        conversation.subscribe(CHANNEL)?;
        let connections = self.names.entry(Arc::clone(&name)).or_insert(0);
        *connections += 1;
        let is_new = *connections == 1;
        let member = Member {
            name: Arc::clone(&name),
            paid_until_ms: 0,
        };
        self.members.insert(connection, member);
        let mut online: Vec<&str> = self
            .names
            .keys()
            .take(ONLINE_NAMES_MAX)
            .map(AsRef::as_ref)
            .collect();
        if !online.contains(&&*name) {
            online.pop();
            online.push(&name);
            online.sort_unstable();
        }
        let hello = Event::Hello {
            you: &name,
            connection: connection.to_string(),
            online,
            history: &self.history,
        };
        conversation.send(Message::Text(&encode(&hello)));
        if is_new {
            let join = Event::Join {
                user: &name,
                online: self.names.len(),
            };
            tell_the_others(conversation, &join);
        }
        Ok(())
    }

    fn leave(&mut self, conversation: &mut dyn Conversation) {
        let Some(member) = self.members.remove(&conversation.connection()) else {
            return;
        };
        let Some(connections) = self.names.get_mut(&member.name) else {
            return;
        };
        *connections -= 1;
        if *connections == 0 {
            self.names.remove(&member.name);
            let leave = Event::Leave {
                user: &member.name,
                online: self.names.len(),
            };
            tell_the_others(conversation, &leave);
        }
    }

    fn guest_name(&mut self) -> Arc<str> {
        loop {
            self.guests += 1;
            let name = format!("guest-{}", self.guests);
            if !self.names.contains_key(&*name) {
                return name.into();
            }
        }
    }
}

impl Member {
    /// Counts a line; the name, or nothing when it came too fast.
    fn pay_for_a_line(&mut self, now_ms: u64) -> Option<Arc<str>> {
        // A clock that was set back must not silence anybody for longer than the burst.
        let longest = now_ms + LINES_BURST * LINE_INTERVAL_MS;
        self.paid_until_ms = self.paid_until_ms.clamp(now_ms, longest);
        if self.paid_until_ms + LINE_INTERVAL_MS > longest {
            return None;
        }
        self.paid_until_ms += LINE_INTERVAL_MS;
        Some(Arc::clone(&self.name))
    }
}

/// Says who came or left. Where that is not possible now, the others count wrong until the next one says how many there
/// are.
fn tell_the_others(conversation: &mut dyn Conversation, event: &Event<'_>) {
    let exclude = Some(conversation.connection());
    if let Err(error) = publish(conversation, event, exclude) {
        tracing::debug!(%error, "who came or left the chat was not published");
    }
}

fn publish(
    conversation: &mut dyn Conversation,
    event: &Event<'_>,
    exclude: Option<ConnectionId>,
) -> Result<(), PublishError> {
    let target = Target::Channel(CHANNEL.into());
    let body = encode(event).into();
    conversation.publish(Publish {
        target,
        exclude,
        body,
        compress: true,
        key: None,
        id: None,
    })
}

fn tell(conversation: &mut dyn Conversation, not_taken: NotTaken) {
    let text = not_taken.text();
    conversation.send(Message::Text(&encode(&Event::Error { text: &text })));
}

fn encode(event: &Event<'_>) -> String {
    // These types have string keys and no map of other things, so encoding them cannot fail.
    serde_json::to_string(event).unwrap_or_default()
}

#[cfg(test)]
mod tests;
