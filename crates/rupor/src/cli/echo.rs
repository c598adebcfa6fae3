//! `rupor echo`: every message comes back as it is, on every path.

use rupor_server::{Connection, Handler, Message, UpgradeRequest};

/// The handler of one worker.
#[derive(Debug)]
pub(super) struct Echo;

impl Handler for Echo {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, _connection: &mut Connection<'_>, _request: UpgradeRequest) {}

    fn on_message(
        &mut self,
        connection: &mut Connection<'_>,
        _state: &mut Self::State,
        message: Message<'_>,
    ) {
        // A connection that is closing or too slow gets nothing more; the server ends and counts it.
        let _ = connection.send(message);
    }
}
