//! Drain and stop.

use std::io::Read;
use std::time::Duration;

use rupor_testkit::wait_until;

use super::*;

#[test]
fn drain_closes_everybody_and_returns() {
    let server = up(Limits::default()).0.take();
    let running = server.unwrap();
    let address = running.addresses()[0];
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(address, "/")).collect();
    running.handle().drain(Duration::from_millis(300));
    for client in &mut clients {
        assert_eq!(client.expect_close().0, 1001);
    }
    running.wait();
    assert!(
        TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn drain_ends_though_peers_do_not_answer_and_others_are_silent() {
    let mut limits = Limits::default();
    limits.protocol.close_timeout_ms = 100;
    let running = up(limits).0.take().unwrap();
    let address = running.addresses()[0];
    let mut deaf = Client::connect(address, "/");
    let _silent = TcpStream::connect(address).unwrap();
    wait_until("both are there", || running.handle().stats().openings == 1);
    running.handle().drain(Duration::from_millis(50));
    running.wait();
    assert!(matches!(
        deaf.receive(),
        rupor_testkit::Event::Close(1001, _)
    ));
}

#[test]
fn second_request_to_end_is_at_once() {
    let running = up(Limits::default()).0.take().unwrap();
    let mut client = Client::connect(running.addresses()[0], "/");
    // Longer than the test may take.
    running.handle().drain(Duration::from_secs(3600));
    assert_eq!(client.expect_close().0, 1001, "the first of the window");
    running.handle().stop();
    running.wait();
}

#[test]
fn stop_ends_idle_and_opening_connections() {
    let running = up(Limits::default()).0.take().unwrap();
    let address = running.addresses()[0];
    let mut client = Client::connect(address, "/");
    let mut silent = TcpStream::connect(address).unwrap();
    wait_until("both are there", || running.handle().stats().openings == 1);
    running.handle().stop();
    running.wait();
    assert_eq!(client.expect_close().0, 1001);
    silent
        .set_read_timeout(Some(rupor_testkit::DEADLINE))
        .unwrap();
    let mut bytes = Vec::new();
    let _ = silent.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
}

#[test]
fn upgrade_under_way_is_refused_when_the_server_ends() {
    let up = up(Limits::default());
    let mut stream = up.tcp();
    let request = up.opening("/").bytes();
    let (first, last) = request.split_at(20);
    std::io::Write::write_all(&mut stream, first).unwrap();
    wait_until("it is there", || up.handle().stats().openings == 1);
    up.handle().drain(Duration::from_secs(60));
    std::io::Write::write_all(&mut stream, last).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
