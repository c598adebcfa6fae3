//! An echo server on tokio-tungstenite, after its own example: split, and forwarded, which writes once for all the
//! messages of a read.

use futures_util::{StreamExt, TryStreamExt, future};
use std::error::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite;

async fn echo(stream: TcpStream) -> Result<(), tungstenite::Error> {
    let connection = tokio_tungstenite::accept_async(stream).await?;
    let (write, read) = connection.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary()))
        .forward(write)
        .await
}

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: PORT")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that breaks is the generator's to report.
            tokio::spawn(async move {
                let _ = echo(stream).await;
            });
        }
    })
}
