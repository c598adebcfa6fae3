//! Every message comes back as it was sent.

use super::{Conversation, Outlet};
use rupor_proto::Message;

/// The echo.
#[derive(Debug)]
pub(crate) struct Echo;

impl Outlet for Echo {
    fn on_message(&self, conversation: &mut dyn Conversation, message: Message<'_>) {
        conversation.send(message);
    }
}
