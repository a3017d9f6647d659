//! One question to all who can answer it: `cargo run --example scatter_gather`.
//!
//! Each shelf of a library knows its own books. The reader asks all shelves at once and takes the answers as they come; one shelf
//! has fallen over, and that is an outcome like any other. Whoever needs two answers only says so, and the rest is cancelled.

use std::time::Duration;

use peerage::network::{Network, Secret};
use peerage::{Failure, Identity, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("library", Secret::generate())?;
    let reader = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;

    let mut shelves = Vec::new();
    for (name, books) in [("novels", Some(120_u32)), ("maps", Some(40)), ("poems", Some(75)), ("cellar", None)] {
        let shelf = Node::builder(Identity::generate())
            .network(network.clone())
            .name(name.parse()?)
            .group("shelves".parse()?)
            .seed(reader.addresses()[0].clone())
            .start()
            .await?;
        let count =
            move |_author: String| async move { books.ok_or_else(|| Failure::new("the shelf has fallen over")) };
        shelf.serve("books/by", count)?;
        shelves.push(shelf);
    }

    let ask = || reader.call("books/by").groups(["shelves".parse().expect("a group")]).wait_matching(4);
    let mut answers = ask().all::<u32>().arg(&"Lem").deadline(Duration::from_secs(5)).await?;
    let mut sum = 0;
    while let Some(answer) = answers.next().await {
        let name = shelves.iter().find(|shelf| shelf.id() == answer.peer).map(|shelf| shelf.name().to_string());
        match answer.outcome {
            Ok(books) => sum += books,
            Err(why) => println!("{}: {why}", name.unwrap_or_default()),
        }
    }
    let end = answers.end();
    println!("{sum} books; of {} shelves {} answered and {} failed", end.asked, end.ok, end.failed);
    assert_eq!((sum, end.asked, end.ok, end.failed), (235, 4, 3, 1));

    // Two are enough: what is still open then is cancelled, and the shelves are told.
    let (_, end) = ask().all::<u32>().arg(&"Lem").quorum(2).await?.collect().await;
    println!("asked for two answers: {} came, {} calls were not needed", end.ok, end.asked - end.ok - end.failed);

    for shelf in shelves {
        shelf.stop().await;
    }
    reader.stop().await;
    Ok(())
}
