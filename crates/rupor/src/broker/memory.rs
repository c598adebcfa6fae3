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
    fn publish(&self, batch: Vec<Publish>) -> BoxFuture<'static, Receipts> {
        let node = self.node.upgrade();
        let mut overloaded = false;
        let receipts: Receipts = batch
            .into_iter()
            .map(|publish| {
                if overloaded {
                    return Err(PublishError::Overloaded);
                }
                let node = node.as_ref().ok_or(PublishError::Unavailable)?;
                let receipt = node.deliver(publish);
                overloaded = receipt == Err(PublishError::Overloaded);
                receipt
            })
            .collect();
        ready(receipts).boxed()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Memory").finish_non_exhaustive()
    }
}
