//! An echo server: every message comes back as it went.
//!
//! ```text
//! cargo run -p rupor-server --example echo            # or: -- 0.0.0.0:9001
//! ```
//!
//! Then, in a browser's console:
//!
//! ```text
//! ws = new WebSocket("ws://127.0.0.1:9001"); ws.onmessage = e => console.log(e.data)
//! ws.send("hello")
//! ```

use rupor_server::{Connection, Handler, Message, Server, StartError, UpgradeRequest};

pub(crate) struct Echo;

impl Handler for Echo {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, _: &mut Connection<'_>, _: UpgradeRequest) {}

    fn on_message(&mut self, connection: &mut Connection<'_>, (): &mut (), message: Message<'_>) {
        // An error says that the connection is ending: there is nobody left to tell.
        let _ = connection.send(message);
    }
}

fn main() -> Result<(), StartError> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    Server::new(|_, _| Echo).listen(address.as_str())?.run()
}
