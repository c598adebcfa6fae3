//! A server that greets whoever says a name, and says bye five seconds later.
//!
//! ```text
//! cargo run -p rupor-server --example greeting
//! ```
//!
//! Then, in a browser's console:
//!
//! ```text
//! ws = new WebSocket("ws://127.0.0.1:9001"); ws.onmessage = e => console.log(e.data)
//! ws.onclose = e => console.log("closed", e.code)
//! ws.send("Anna")                     // Hello, Anna … bye, closed 1000
//! ```

use std::time::Duration;

use rupor_server::{CloseCode, Connection, Handler, Message, Server, StartError, UpgradeRequest};

pub(crate) struct Greeting {
    /// How long a guest may stay after the greeting.
    pub(crate) stay: Duration,
}

impl Handler for Greeting {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, _: &mut Connection<'_>, _: UpgradeRequest) {}

    fn on_message(&mut self, guest: &mut Connection<'_>, (): &mut (), message: Message<'_>) {
        match message {
            Message::Text(name) => {
                let _ = guest.send_text(&format!("Hello, {name}"));
                guest.set_timer(self.stay);
            }
            Message::Binary(_) => guest.close(CloseCode::UNSUPPORTED, "a name is text"),
        }
    }

    fn on_timer(&mut self, guest: &mut Connection<'_>, (): &mut ()) {
        let _ = guest.send_text("bye");
        guest.close(CloseCode::NORMAL, "");
    }
}

fn main() -> Result<(), StartError> {
    let stay = Duration::from_secs(5);
    Server::new(move |_, _| Greeting { stay })
        .listen("127.0.0.1:9001")?
        .run()
}
