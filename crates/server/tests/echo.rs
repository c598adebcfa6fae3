//! An echo server over a real socket.

use rupor_server::{Connection, Handler, Message, Running, Server, UpgradeRequest};
use rupor_testkit::Client;
struct Echo;
impl Handler for Echo {
    type Admission = UpgradeRequest;
    type State = ();
    fn on_open(&mut self, _: &mut Connection<'_>, _: UpgradeRequest) {}
    fn on_message(&mut self, connection: &mut Connection<'_>, (): &mut (), message: Message<'_>) {
        let _ = connection.send(message);
    }
}
fn start() -> Running {
    Server::new(|_, _| Echo)
        .workers(2)
        .listen("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap()
}
#[test]
fn echo() {
    let server = start();
    let mut client = Client::connect(server.addresses()[0], "/");
    client.send_text("hello");
    client.expect_text("hello");
    let big = "x".repeat(60_000);
    for _ in 0..10 {
        client.send_text(&big);
    }
    for _ in 0..10 {
        client.expect_text(&big);
    }
    assert_eq!(client.close(1000, "bye"), (1000, String::new()));
    server.handle().stop();
    server.wait();
}
