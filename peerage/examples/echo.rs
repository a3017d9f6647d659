//! A server that echoes, and a client that asks it: `cargo run --example echo`.
//!
//! Both are in one program here, and talk over TCP as they would between two machines. Any aiomas program could be the
//! client, or the server.

use peerage::{Channel, Failure, Listener};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Port 0: the system picks a free one, and the listener knows which.
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse()?).await?;
    let server = listener.serve(|text: String| async move {
        if text.is_empty() {
            return Err(Failure::new("nothing to echo"));
        }
        Ok(format!("echo: {text}"))
    });
    println!("serving at {}", server.local_address());

    let channel = Channel::connect(server.local_address()).await?;
    let answer: String = channel.request("hello").await?;
    println!("{answer}");

    // A failure is the handler's word, a missing answer would be the network's: `outcome()` tells which it was.
    match channel.request::<String>("").await {
        Ok(answer) => println!("{answer}"),
        Err(error) => println!("{}: {error}", error.outcome()),
    }

    channel.close().await;
    server.close().await;
    Ok(())
}
