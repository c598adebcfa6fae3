//! How a client's messages become requests, and what is sent becomes frames.
//!
//! A [`Dialect`] is chosen at the upgrade by the subprotocol and stays for the connection's life. Connections of one
//! dialect are one [`Kind`] to the hub: what is published is encoded once for all of them. A new dialect is one file, a
//! row in [`ALL`], and its reference page in `docs/reference/`.
//!
//! - `plain`: the frame is the text;
//! - `v1`: JSON, subprotocol `rupor.v1`.

mod plain;
mod request;
mod v1;

pub(crate) use request::{Answer, Asked, BadRequest, Id, Request};

use rupor_hub::Kind;
use rupor_proto::{Frame, Message};
use std::fmt;

/// What is spoken on a connection. Has no state: a connection's state is the handler's.
pub(crate) trait Dialect: fmt::Debug + Sync {
    /// What the client asks. `identified`: whether it has said who it is; else a dialect without words of its own takes
    /// the first message for the token.
    ///
    /// # Errors
    /// What is wrong with it; the connection stays.
    fn decode<'a>(&self, message: Message<'a>, identified: bool)
    -> Result<Request<'a>, BadRequest>;

    /// What was published, as the receivers of this dialect get it.
    fn publication(&self, address: Address<'_>, text: &str) -> Frame;

    /// An answer to a request, or an event of the connection's own; `None`: this dialect says nothing about it.
    fn answer(&self, answer: &Answer<'_>, id: Option<&Id>) -> Option<String>;
}

/// How a publication found its receivers, and which one it is, as far as they are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    /// The channel that it was published in.
    pub(crate) channel: Option<&'a str>,
    /// The one user that it was sent to.
    pub(crate) user: Option<&'a str>,
    /// Its id, where it may be sent again.
    pub(crate) publication: Option<&'a str>,
}

/// The subprotocol of the dialect `v1`.
pub(crate) const V1_SUBPROTOCOL: &str = "rupor.v1";

/// The subprotocol of the plain dialect, for a page that has to offer one: it brings its token in another, which is never
/// selected, and browsers fail a connection on which none of those that they offered is.
pub(crate) const PLAIN_SUBPROTOCOL: &str = "rupor.plain";

/// The dialects; the place of each is its kind.
pub(crate) static ALL: [&dyn Dialect; 2] = [&plain::Plain, &v1::V1];

/// The kinds of the dialects in [`ALL`].
pub(crate) const PLAIN: Kind = Kind(0);
pub(crate) const V1: Kind = Kind(1);

/// The dialect of a kind. One that is not in [`ALL`] is plain: the hub is only ever told of those that are.
pub(crate) fn of_kind(kind: Kind) -> &'static dyn Dialect {
    ALL.get(usize::from(kind.0))
        .copied()
        .unwrap_or(&plain::Plain)
}

/// The kind that a subprotocol chooses. Any other than those of a dialect is the application's: the frame is the text.
pub(crate) fn kind_for(subprotocol: Option<&str>) -> Kind {
    match subprotocol {
        Some(V1_SUBPROTOCOL) => V1,
        _ => PLAIN,
    }
}
