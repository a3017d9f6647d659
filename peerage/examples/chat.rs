//! Two ends that talk to each other at the same time: `cargo run --example chat`.
//!
//! A call that is opened as a conversation is a stream of items in each direction. Both ends send when they have something to
//! say and read when there is something to read; each ends its own direction, and the handler's answer ends it all.

use peerage::network::{Network, Secret};
use peerage::service::Context;
use peerage::{Failure, Identity, Node};

/// The host greets, answers each line, and says how many there were.
async fn talk(context: Context, guest: String) -> Result<usize, Failure> {
    let (mut heard, mut said) = (context.incoming::<String>()?, context.outgoing::<String>()?);
    said.send(&format!("welcome, {guest}")).await?;
    let mut lines = 0;
    while let Some(line) = heard.next().await {
        lines += 1;
        let answer = match line?.as_str() {
            "how are you?" => "very well, thank you".to_owned(),
            line => format!("you say: {line}"),
        };
        said.send(&answer).await?;
    }
    said.send(&"good bye".to_owned()).await?;
    said.finish();
    Ok(lines)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("lab", Secret::generate())?;
    let host = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;
    host.serve("chat/talk", talk)?;

    let guest = Node::builder(Identity::generate()).network(network).start().await?;
    let peer = guest.connect(&host.addresses()[0]).await?;
    let talk = guest.call("chat/talk").peer::<usize>(peer).arg(&"bee").open::<String, String>().await?;
    let (mut said, mut heard) = (talk.outgoing, talk.incoming);

    // One task speaks while this one listens: neither waits for the other.
    let speaking = tokio::spawn(async move {
        for line in ["hello", "how are you?", "it is late"] {
            said.send(&line.to_owned()).await?;
        }
        said.finish();
        Ok::<_, peerage::stream::SendError>(())
    });
    while let Some(line) = heard.next().await {
        println!("host: {}", line?);
    }
    speaking.await??;
    let lines: usize = heard.outcome().await?;
    println!("the host has heard {lines} lines");
    assert_eq!(lines, 3);

    guest.stop().await;
    host.stop().await;
    Ok(())
}
