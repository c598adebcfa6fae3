//! Who is connected, as whom, and who listens to what: pure state.
//!
//! A [`Command`] goes in, [`Effect`]s come out. Nothing here knows a socket, a clock, a thread or a broker, so every
//! rule about users, connections and channels can be read and tested in one place; whoever owns the hub carries the
//! effects out.
//!
//! Invariants:
//! - every index (user → connections, cookie → connections, channel → subscribers) agrees with the connection table;
//! - an entry without members does not exist: a closed connection leaves nothing behind;
//! - a refused command changes nothing and has no effects;
//! - a publication reaches a connection at most once, whatever number of its names match;
//! - publishing to a channel or to everybody costs one effect per [`Kind`] present, not one per connection.
//!
//! Start at [`Hub::apply`].

mod command;
mod hub;
mod kinds;
mod limits;
mod members;
mod name;
mod names;
mod tables;

pub use command::{
    Command, ConnectionId, Effect, Kind, NotAConnectionId, Outcome, Publication, Refused, Target,
};
pub use hub::{Counts, Hub};
pub use limits::Limits;
pub use name::{is_channel_name, is_user_name};
