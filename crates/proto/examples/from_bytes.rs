//! A client and a server that talk without any network: each one's output is the other's input.
//!
//! ```sh
//! cargo run --example from_bytes
//! ```
#![allow(clippy::print_stdout, reason = "it talks to people")]

use std::{error::Error, sync::Arc};

use rupor_proto::{
    CloseCode, Config, Connection, Event, Message, Time,
    handshake::{ClientHandshake, HeadLimits, parse_request, select_subprotocol, write_response},
};

fn main() -> Result<(), Box<dyn Error>> {
    // The handshake. The nonce and the masking keys must be random; these are not.
    let mut request =
        ClientHandshake::new("example.com", "/chat", *b"a nonce of bytes", &["soap"], &[])?;
    let (head, _) = parse_request(request.request(), &HeadLimits::default())?
        .ok_or("the request is not complete")?;
    let upgrade = head.upgrade()?;
    let subprotocol = select_subprotocol(&upgrade.subprotocols, &["wamp", "soap"]);
    let mut response = Vec::new();
    write_response(
        &upgrade,
        subprotocol,
        &[("Server", "example")],
        &mut response,
    )?;
    let (accepted, _) = request
        .receive(&response)?
        .ok_or("the response is not complete")?;
    println!("subprotocol: {accepted:?}");

    // The connection.
    let (config, now) = (Arc::new(Config::default()), Time::from_millis(0));
    let mut server = Connection::server(Arc::clone(&config), now, 1);
    let mut client = Connection::client(config, now, 2, Box::new(|| [1, 2, 3, 4]));
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    client.send(Message::Text("hello"), &mut to_server)?;
    client.close(CloseCode::NORMAL, "that was all", now, &mut to_server)?;
    println!("on the wire: {to_server:02x?}");

    let mut input = &mut to_server[..];
    while let Some(event) = server.receive(&mut input, now, &mut to_client) {
        match event {
            Event::Message(message) => println!("server: {:?}", message.as_message().as_text()),
            event => println!("server: {event:?}"),
        }
    }
    let mut input = &mut to_client[..];
    while let Some(event) = client.receive(&mut input, now, &mut to_server) {
        println!("client: {event:?}");
    }
    Ok(())
}
