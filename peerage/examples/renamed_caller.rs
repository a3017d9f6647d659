//! Two programs whose functions have different names, and one tag: `cargo run --example renamed_caller`.
//!
//! `renamed_callee` serves `fahrenheit_to_celsius` under the tag `weather/celsius`. This program has a function of its own for the
//! same thing, `to_celsius`, and serves it under the same tag: each calls the other's, and neither knows what it is called there.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use peerage::network::{Network, Secret};
use peerage::private_file::private_folder;
use peerage::{Address, Failure, Identity, Node};

const CELSIUS: &str = "weather/celsius";

async fn to_celsius(degrees: f64) -> Result<f64, Failure> {
    Ok((degrees - 32.0) * 5.0 / 9.0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("lab", Secret::generate())?;
    let folder = tempfile::tempdir()?;
    let networks = folder.path().join("networks");
    private_folder(&networks)?;
    let file = networks.join("lab.network");
    network.create(&file)?;

    // The other program lies beside this one.
    let other = std::env::current_exe()?.with_file_name("renamed_callee");
    let mut callee = Command::new(other).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(callee.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    let address: Address = line.trim_end().parse()?;

    let node = Node::builder(Identity::generate()).network(network).start().await?;
    node.serve(CELSIUS, to_celsius)?;
    let callee_id = node.connect(&address).await?;
    let theirs: f64 = node.call(CELSIUS).peer(callee_id).arg(&212.0).await?;
    let ours: f64 = node.call(CELSIUS).peer(node.id()).arg(&212.0).await?;
    println!("theirs says {theirs}, ours says {ours}");
    assert!((theirs - ours).abs() < 1e-9);

    // Its stdin is closed, and it ends.
    drop(callee.stdin.take());
    callee.wait()?;
    node.stop().await;
    Ok(())
}
