//! Both ends of one connection ask and answer: `cargo run --example both_ways`.
//!
//! A shop asks a customer for the address while it answers the customer's order, on the same connection. Nobody needs a
//! second port, and a customer behind a firewall can be asked as well.

use peerage::{Channel, Failure, Listener, Request};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = "memory://shop".parse()?;
    // A handler that takes the request itself can ask back whoever sent it.
    let server = Listener::bind(&shop).await?.serve(|request: Request| async move {
        match order(&request).await {
            Ok(receipt) => request.reply(&receipt),
            Err(failure) => request.fail_with(failure),
        }
    });

    let mut channel = Channel::connect(&shop).await?;
    // Calls are made through a handle, so that the channel itself is free to answer requests meanwhile.
    let caller = channel.caller();
    let customer = tokio::spawn(async move {
        while let Some(request) = channel.next_request().await {
            match request.content::<String>() {
                Ok(question) if question == "where do you live?" => request.reply("12 Harbour Street"),
                Ok(question) => request.fail(format!("I do not know: {question}")),
                Err(error) => request.fail(error.to_string()),
            }
        }
    });

    let receipt: String = caller.request(&("tea", 3)).await?;
    println!("{receipt}");

    caller.close().await;
    customer.await?;
    server.close().await;
    Ok(())
}

/// Takes an order, asking the customer for what is missing.
async fn order(request: &Request) -> Result<String, Failure> {
    let (what, how_many): (String, u32) = request.content()?;
    let address: String = request.caller().request("where do you live?").await?;
    Ok(format!("{how_many} × {what} to {address}"))
}
