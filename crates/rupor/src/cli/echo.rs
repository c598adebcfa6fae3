//! `rupor echo`: every message comes back as it is, on every path.

use rupor_server::{Admit, Admitted, Connection, Handler, Message, Refusal, UpgradeRequest};

/// Lets everybody in and keeps nothing of the request: what waits for a worker is smaller by it.
#[derive(Debug)]
pub(super) struct Everybody;

impl Admit for Everybody {
    type Admission = ();

    async fn admit(&self, _request: UpgradeRequest) -> Result<Admitted<()>, Refusal> {
        Ok(Admitted::new(()))
    }
}

/// The handler of one worker.
#[derive(Debug)]
pub(super) struct Echo;

impl Handler for Echo {
    type Admission = ();
    type State = ();

    fn on_open(&mut self, _connection: &mut Connection<'_>, (): ()) {}

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
