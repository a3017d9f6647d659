//! One of two programs that agree on a name: `cargo run --example renamed_caller` starts both.
//!
//! The tag under which a function is served is written out, never taken from the function. So this program calls its
//! function as it likes, `fahrenheit_to_celsius` here, and may rename or move it: whoever calls `weather/celsius` does not
//! notice.
//!
//! usage: renamed_callee NETWORK-FILE      serves until its stdin is closed

use std::io::Read as _;
use std::path::Path;

use peerage::{Failure, Identity, Network, Node};

async fn fahrenheit_to_celsius(degrees: f64) -> Result<f64, Failure> {
    Ok((degrees - 32.0) / 1.8)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(file) = std::env::args().nth(1) else {
        println!("usage: renamed_callee NETWORK-FILE; renamed_caller starts it");
        return Ok(());
    };
    let network = Network::open(Path::new(&file))?;
    let node =
        Node::builder(Identity::generate()).network(network).listen("tls://127.0.0.1:0".parse()?).start().await?;
    node.serve("weather/celsius", fahrenheit_to_celsius)?;
    // Whoever started this program reads where it is, and who.
    println!("{}", node.addresses()[0].clone().with_node(node.id()));

    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    node.stop().await;
    Ok(())
}
