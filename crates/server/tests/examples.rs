//! The examples do what their first lines say.

#![allow(clippy::unwrap_used, reason = "a failure is the test's failure")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rupor_server::{CloseCode, Handler, Running, Server, UpgradeRequest};
use rupor_testkit::{Client, Event, Opening, Response, http, wait_until};
use tokio::net::TcpListener;

#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/axum.rs"]
mod axum_chat;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/chat.rs"]
mod chat;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/client.rs"]
mod client;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/commands.rs"]
mod commands;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/echo.rs"]
mod echo;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/greeting.rs"]
mod greeting;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/hyper.rs"]
mod hyper_echo;

fn start<H: Handler<Admission = UpgradeRequest>>(
    handler: impl Fn() -> H + Send + Sync + 'static,
) -> Running {
    Server::new(move |_, _| handler())
        .workers(2)
        .listen("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap()
}

fn connect(server: &Running) -> Client {
    Client::connect(server.addresses()[0], "/")
}

fn stop(server: Running) {
    server.handle().stop();
    server.wait();
}

#[test]
fn echo_sends_back_text_and_bytes() {
    let server = start(|| echo::Echo);
    let mut client = connect(&server);
    client.send_text("hello, мир");
    client.expect_text("hello, мир");
    client.send_binary(&[0, 255, 7]);
    assert_eq!(client.receive(), Event::Binary(vec![0, 255, 7]));
    let (code, _) = client.close(1000, "");
    assert_eq!(code, 1000);
    stop(server);
}

#[test]
fn greeting_says_hello_and_bye() {
    let server = start(|| greeting::Greeting {
        stay: Duration::from_millis(50),
    });
    let mut client = connect(&server);
    client.send_text("Anna");
    client.expect_text("Hello, Anna");
    client.expect_text("bye");
    assert_eq!(client.expect_close(), (1000, String::new()));
    stop(server);
}

#[test]
fn commands_are_those_of_the_table_only() {
    let server = start(commands::Commands::new);
    let mut client = connect(&server);
    client.send_text("help");
    let help = client.receive_text();
    for word in ["time", "uptime", "connections"] {
        assert!(help.contains(word), "{help}");
    }
    client.send_text(" time ");
    assert!(client.receive_text().parse::<u64>().unwrap() > 1_700_000_000);
    client.send_text("uptime");
    assert!(client.receive_text().ends_with(" s"));
    client.send_text("connections");
    client.expect_text("1");
    client.send_text("time; ls");
    client.expect_text("unknown command, try help");
    stop(server);
}

#[test]
fn chat_has_each_name_once() {
    let names = Arc::default();
    let server = start(move || chat::Chat::new(Arc::clone(&names)));
    let [mut anna, mut boris] = [connect(&server), connect(&server)];
    for client in [&mut anna, &mut boris] {
        client.expect_text("* what is your name?");
    }
    anna.send_text("Anna");
    anna.expect_text("* Anna is here");
    boris.send_text("Anna");
    boris.expect_text("* that name is taken, choose another");
    boris.send_text("Boris");
    for client in [&mut anna, &mut boris] {
        client.expect_text("* Boris is here");
    }
    anna.send_text("Good evening");
    for client in [&mut anna, &mut boris] {
        client.expect_text("Anna: Good evening");
    }
    anna.close(1000, "");
    boris.expect_text("* Anna left");
    let mut again = connect(&server);
    again.expect_text("* what is your name?");
    again.send_text("Anna");
    again.expect_text("* Anna is here");
    stop(server);
}

/// Runs what serves a listener until the test program ends.
fn serve<F, S>(serve: F) -> SocketAddr
where
    F: FnOnce(TcpListener) -> S + Send + 'static,
    S: Future,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { serve(TcpListener::from_std(listener).unwrap()).await });
    });
    address
}

fn get(address: SocketAddr, target: &str) -> Response {
    http(address, "GET", target, &[], b"")
}

#[test]
fn hyper_has_a_page_and_an_echo() {
    let address = serve(hyper_echo::serve);
    let page = get(address, "/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<title>Echo</title>"));
    let mut client = Client::connect(address, "/echo");
    client.send_text("hello, мир");
    client.expect_text("hello, мир");
    assert_eq!(client.close(1000, "").0, 1000);
    // Where a WebSocket is, a page is told so.
    assert_eq!(get(address, "/echo").status, 426);
}

#[test]
fn axum_has_a_chat_for_its_own_page_only() {
    let address = serve(|listener| async {
        let application = axum_chat::application(vec!["http://localhost:9004".to_owned()]);
        axum::serve(listener, application).await
    });
    assert!(get(address, "/").text().contains("<title>Chat</title>"));
    let page = || Opening::new(address, "/chat").origin("http://localhost:9004");
    let mut anna = page().open();
    anna.send_text("first");
    anna.expect_text("first");
    let mut boris = page().open();
    boris.send_text("hello");
    for client in [&mut anna, &mut boris] {
        client.expect_text("hello");
    }
    let foreign = Opening::new(address, "/chat").origin("https://evil.example");
    assert_eq!(foreign.refused().status, 403);
}

#[test]
fn client_listens_until_the_server_closes() {
    let names = Arc::default();
    let server = start(move || chat::Chat::new(Arc::clone(&names)));
    let url = format!("ws://{}/", server.addresses()[0]);
    let talking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let close = runtime.block_on(client::talk(&url, false));
        close.map_err(|error| error.to_string())
    });
    wait_until("the client is there", || {
        server.handle().stats().connections == 1
    });
    server.handle().drain(Duration::ZERO);
    let close = talking.join().unwrap().unwrap();
    assert_eq!((close.code, close.clean), (CloseCode::GOING_AWAY, true));
    server.wait();
}
