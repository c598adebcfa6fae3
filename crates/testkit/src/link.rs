//! What a [`Client`](crate::Client) talks over: any blocking byte stream that can have a deadline.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A blocking byte stream with a deadline for each read.
pub trait Link: Read + Write + Send {
    /// Limits how long the next reads may wait.
    fn limit_read(&mut self, wait: Duration);

    /// Ends the sending side (FIN), where the stream has such a thing.
    fn finish(&mut self) {}
}

impl Link for TcpStream {
    fn limit_read(&mut self, wait: Duration) {
        // A zero timeout is an error for the standard library.
        let wait = wait.max(Duration::from_millis(1));
        self.set_read_timeout(Some(wait))
            .expect("a read timeout can be set");
    }

    fn finish(&mut self) {
        // The peer may have closed already, which is as finished as it gets.
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Connects to `address` within the deadline.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, crate::DEADLINE)
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    stream
        .set_write_timeout(Some(crate::DEADLINE))
        .expect("a write timeout can be set");
    stream
}
