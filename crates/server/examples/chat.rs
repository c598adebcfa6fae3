//! A chat in which every name is there once. The first message is the name, the others are said to
//! everybody, on whichever worker they are.
//!
//! ```text
//! cargo run -p rupor-server --example chat
//! ```
//!
//! Then, in the consoles of two browser windows:
//!
//! ```text
//! ws = new WebSocket("ws://127.0.0.1:9001"); ws.onmessage = e => console.log(e.data)
//! ws.send("Anna")                     // the other one says "Boris"
//! ws.send("Good evening")
//! ```

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rupor_server::{
    Close, Connection, Frame, Handler, Message, Server, StartError, Topic, UpgradeRequest,
};

/// The most characters that a name may have.
const NAME_CHARS_MAX: usize = 32;

/// One for each worker; the names are common to all.
pub(crate) struct Chat {
    names: Arc<Mutex<HashSet<String>>>,
    everybody: Topic,
}

impl Chat {
    pub(crate) fn new(names: Arc<Mutex<HashSet<String>>>) -> Self {
        Self {
            names,
            everybody: Topic::from("everybody"),
        }
    }

    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to everybody who has a name, the speaker too.
    fn say(&self, speaker: &mut Connection<'_>, text: &str) {
        let frame = Frame::new(Message::Text(text));
        if speaker
            .handle()
            .publish(&self.everybody, &frame, None)
            .is_err()
        {
            let _ = speaker.send_text("* too much is being said, try again");
        }
    }

    fn join(&self, guest: &mut Connection<'_>, name: &str) -> Option<String> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            let _ = guest.send_text("* a name has 1 to 32 characters");
            return None;
        }
        if !self.names().insert(name.to_owned()) {
            let _ = guest.send_text("* that name is taken, choose another");
            return None;
        }
        guest.subscribe(&self.everybody);
        self.say(guest, &format!("* {name} is here"));
        Some(name.to_owned())
    }
}

impl Handler for Chat {
    type Admission = UpgradeRequest;
    /// The name, once it has one.
    type State = Option<String>;

    fn on_open(&mut self, guest: &mut Connection<'_>, _: UpgradeRequest) -> Option<String> {
        let _ = guest.send_text("* what is your name?");
        None
    }

    fn on_message(
        &mut self,
        guest: &mut Connection<'_>,
        name: &mut Option<String>,
        message: Message<'_>,
    ) {
        let Message::Text(text) = message else { return };
        match name {
            Some(name) => self.say(guest, &format!("{name}: {text}")),
            None => *name = self.join(guest, text),
        }
    }

    fn on_close(&mut self, guest: &mut Connection<'_>, name: Option<String>, _: &Close) {
        if let Some(name) = name {
            self.names().remove(&name);
            self.say(guest, &format!("* {name} left"));
        }
    }
}

fn main() -> Result<(), StartError> {
    let names = Arc::default();
    Server::new(move |_, _| Chat::new(Arc::clone(&names)))
        .listen("127.0.0.1:9001")?
        .run()
}
