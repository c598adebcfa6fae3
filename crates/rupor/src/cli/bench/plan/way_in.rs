//! Where `broadcast` and `push` publish.

use super::{address, handshake, look_up};
use crate::cli::bench::failure::Failure;
use crate::cli::bench::{BenchArgs, Scenario};
use crate::config::InletAddress;
use rupor_proto::handshake::ClientHandshake;
use std::net::SocketAddr;

/// Where `broadcast` and `push` publish.
#[derive(Debug, Clone)]
pub(in crate::cli::bench) enum WayIn {
    /// A line inlet of rupor's: one line a publication, and each is answered.
    Inlet(InletAddress),
    /// A connection of which the server gives each message to all that listen; no answers. `None`: bare TCP.
    Connection {
        server: SocketAddr,
        place: String,
        handshake: Option<ClientHandshake>,
    },
}

/// Checks where it is published.
pub(super) fn way_in(arguments: &BenchArgs, bare: bool) -> Result<Option<WayIn>, Failure> {
    match (arguments.scenario, &arguments.inlet, &arguments.publish_url) {
        (Scenario::Echo | Scenario::Idle, _, _) => Ok(None),
        (Scenario::Broadcast | Scenario::Push, Some(_), _) if arguments.binary => Err(
            Failure::Arguments("a line inlet takes text: leave --binary out"),
        ),
        (Scenario::Broadcast | Scenario::Push, Some(_), _) if bare => Err(Failure::Arguments(
            "what an inlet publishes goes to WebSockets: ws:// or wss://",
        )),
        (Scenario::Broadcast | Scenario::Push, Some(inlet), _) => {
            Ok(Some(WayIn::Inlet(inlet.clone())))
        }
        (Scenario::Broadcast, None, Some(url)) => {
            let (address, publisher_bare) = address(url)?;
            if address.secure || publisher_bare != bare {
                return Err(Failure::Arguments(
                    "--publish-url is like the URL, ws:// or tcp://, and not encrypted",
                ));
            }
            Ok(Some(WayIn::Connection {
                server: look_up(&address)?,
                handshake: (!bare)
                    .then(|| handshake(&address.host_header, &address.target))
                    .transpose()?,
                place: url.clone(),
            }))
        }
        (Scenario::Broadcast | Scenario::Push, None, _) => Err(Failure::Arguments(
            "broadcast and push publish through a line inlet of rupor's: say where with --inlet; broadcast also through \
             a connection, with --publish-url",
        )),
    }
}
