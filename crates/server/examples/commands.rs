//! A server with a table of commands: the client sends a word, the server runs its own function
//! for it and answers. No shell, nothing that the client could make up.
//!
//! ```text
//! cargo run -p rupor-server --example commands
//! ```
//!
//! Then, in a browser's console:
//!
//! ```text
//! ws = new WebSocket("ws://127.0.0.1:9001"); ws.onmessage = e => console.log(e.data)
//! ws.send("help")
//! ws.send("uptime")
//! ```

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rupor_server::{Connection, Handler, Message, Server, StartError, UpgradeRequest};

pub(crate) struct Commands {
    started: Instant,
}

/// A word, what it is for, and what it does.
struct Command {
    word: &'static str,
    about: &'static str,
    run: fn(&Commands, &Connection<'_>) -> String,
}

const COMMANDS: [Command; 4] = [
    Command {
        word: "help",
        about: "this list",
        run: |_, _| help(),
    },
    Command {
        word: "time",
        about: "seconds since 1970, UTC",
        run: |_, _| time(),
    },
    Command {
        word: "uptime",
        about: "how long the server runs",
        run: Commands::uptime,
    },
    Command {
        word: "connections",
        about: "who else is here",
        run: connections,
    },
];

fn help() -> String {
    let lines = COMMANDS
        .iter()
        .map(|command| format!("{}: {}", command.word, command.about));
    lines.collect::<Vec<_>>().join("\n")
}

fn time() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs().to_string()
}

fn connections(_: &Commands, connection: &Connection<'_>) -> String {
    connection.handle().stats().connections.to_string()
}

impl Commands {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    fn uptime(&self, _: &Connection<'_>) -> String {
        format!("{} s", self.started.elapsed().as_secs())
    }
}

impl Handler for Commands {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, _: &mut Connection<'_>, _: UpgradeRequest) {}

    fn on_message(&mut self, connection: &mut Connection<'_>, (): &mut (), message: Message<'_>) {
        let word = match message {
            Message::Text(text) => text.trim(),
            Message::Binary(_) => "",
        };
        let answer = match COMMANDS.iter().find(|command| command.word == word) {
            Some(command) => (command.run)(self, connection),
            None => "unknown command, try help".to_owned(),
        };
        let _ = connection.send_text(&answer);
    }
}

fn main() -> Result<(), StartError> {
    Server::new(|_, _| Commands::new())
        .listen("127.0.0.1:9001")?
        .run()
}
