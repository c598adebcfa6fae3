//! How publications reach every node: the seam for Redis and NATS.
//!
//! [`Gateway::publish`](crate::gateway::Gateway::publish) hands every publication to the [`Broker`]; the broker gives it to the
//! [`Node`] of every gateway process, this one included, and the node delivers it to its own connections.
//!
//! The contract:
//! - **Order.** [`Broker::publish`] puts the batch in order at the *call*, before its future is polled. Two
//!   publications to one channel are delivered by every node in the same order; for those that one node published,
//!   that is the order of the calls.
//! - **Never blocks.** It is called from worker threads and with locks of the caller held. A broker that has to wait
//!   has a bounded queue and answers [`PublishError::Overloaded`] at once when that is full.
//! - **Receipts.** One result per publication, at its place. `Ok` says that the broker took it and that this node's
//!   workers have it in their inboxes; `connections` counts what the broker can know: this node's with `Memory`.
//! - **A tail.** Once a publication of a batch is [`PublishError::Overloaded`], so is everything behind it: whoever sends
//!   that tail again keeps the order.
//! - **Nothing half.** A publication that is refused is delivered by no node.
//!
//! [`Memory`] is the broker of a single node.

mod memory;

pub(crate) use memory::Memory;

use crate::gateway::{Publish, PublishError, Receipt};
use futures_util::future::BoxFuture;
use std::fmt;

/// One result per publication of a batch, at its place.
pub(crate) type Receipts = Vec<Result<Receipt, PublishError>>;

/// Takes publications to every node. See the module's contract.
pub(crate) trait Broker: fmt::Debug + Send + Sync {
    /// Publishes a batch in its order. The order of two calls is fixed when the second begins.
    fn publish(&self, batch: &[Publish]) -> BoxFuture<'static, Receipts>;
}

/// The gateway as a broker sees it: who delivers to the connections of this node.
pub(crate) trait Node: Send + Sync {
    /// Delivers a batch to this node's connections in its order, each publication all or nothing; never blocks. One receipt
    /// for each, with a tail as a [`Broker`]'s.
    fn deliver(&self, batch: &[Publish]) -> Receipts;
}
