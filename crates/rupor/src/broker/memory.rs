//! The broker of a single node: delivers at the call, so its receipts are ready at once.

use super::{Broker, Node, Receipts};
use crate::gateway::{Publish, PublishError};
use futures_util::future::{BoxFuture, FutureExt, ready};
use std::fmt;
use std::sync::Weak;

/// Delivers to the one node there is.
pub(crate) struct Memory {
    /// Weak: the node owns its broker.
    node: Weak<dyn Node>,
}

impl Memory {
    /// A broker for this node.
    pub(crate) fn new(node: Weak<dyn Node>) -> Self {
        Self { node }
    }
}

impl Broker for Memory {
    fn publish(&self, batch: &[Publish]) -> BoxFuture<'static, Receipts> {
        let receipts = match self.node.upgrade() {
            Some(node) => node.deliver(batch),
            None => vec![Err(PublishError::Unavailable); batch.len()],
        };
        ready(receipts).boxed()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Memory").finish_non_exhaustive()
    }
}
