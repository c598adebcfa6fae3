//! Topics of `rupor-server` without a gateway: what comes on `/publish` goes to everybody on `/topic`. Other paths echo.

use rupor_server::{
    Connection, DeflateConfig, Frame, Handler, Limits, Message, Server, Topic, UpgradeRequest,
};
use std::error::Error;

enum Role {
    Subscriber,
    Publisher,
    Echo,
}

struct Topics(Topic);

impl Handler for Topics {
    type Admission = UpgradeRequest;
    type State = Role;

    fn on_open(&mut self, connection: &mut Connection<'_>, request: UpgradeRequest) -> Role {
        match request.path() {
            "/topic" => {
                connection.subscribe(&self.0);
                Role::Subscriber
            }
            "/publish" => Role::Publisher,
            _ => Role::Echo,
        }
    }

    fn on_message(
        &mut self,
        connection: &mut Connection<'_>,
        role: &mut Role,
        message: Message<'_>,
    ) {
        // What is lost, the generator misses.
        match role {
            Role::Publisher => {
                let _ = connection.publish(&self.0, &Frame::new(message));
            }
            Role::Echo => {
                let _ = connection.send(message);
            }
            Role::Subscriber => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: PORT")?.parse()?;
    let limits = Limits {
        messages_per_second: 0,
        bytes_per_second: 0,
        ..Limits::default()
    };
    Server::new(|_, _| Topics(Topic::from("bench")))
        .limits(limits)
        .deflate(DeflateConfig::default())
        .workers(1)
        .listen(("127.0.0.1", port))?
        .run()?;
    Ok(())
}
