//! The latest values in the terminal: `cargo run --example sensor_feed`.
//!
//! A node publishes readings far faster than anybody can look at them. The view wants the newest of each sensor and nothing else, so
//! it says so: under the policy `latest` one event per name waits for it, however long it looks away. What it does not see is told as
//! gaps, which it counts.

use std::collections::BTreeMap;
use std::time::Duration;

use peerage::event::{Heard, Policy};
use peerage::network::{Network, Secret};
use peerage::{Identity, Node};

/// Readings of each sensor.
const READINGS: u32 = 5_000;

const SENSORS: [&str; 3] = ["sensor/hall/temperature", "sensor/hall/humidity", "sensor/roof/wind"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new("lab", Secret::generate())?;
    let station = Node::builder(Identity::generate())
        .network(network.clone())
        .listen("tls://127.0.0.1:0".parse()?)
        .start()
        .await?;
    let terminal =
        Node::builder(Identity::generate()).network(network).seed(station.addresses()[0].clone()).start().await?;
    let mut readings = terminal.subscribe("sensor/**").policy(Policy::Latest).start()?;

    // The first reading counts too: the station begins when somebody looks.
    let publishers = SENSORS.iter().map(|name| station.event(name)).collect::<Result<Vec<_>, _>>()?;
    for publisher in &publishers {
        publisher.wait_matching(1).await?;
    }
    let measuring = tokio::spawn(async move {
        for reading in 1..=READINGS {
            for publisher in &publishers {
                // Never waits for anybody.
                publisher.publish(&(f64::from(reading) / 10.0)).await?;
            }
            if reading.is_multiple_of(100) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok::<(), peerage::event::PublishError>(())
    });

    let (mut view, mut seen, mut missed) = (BTreeMap::<String, (u64, f64)>::new(), 0, 0);
    while view.len() < SENSORS.len() || view.values().any(|(seq, _)| *seq < u64::from(READINGS)) {
        match readings.next().await.ok_or("the node has stopped")? {
            Heard::Event(event) => {
                seen += 1;
                view.insert(event.name().to_owned(), (event.seq(), event.value()?));
            }
            Heard::Gap(gap) => missed += gap.count().unwrap_or(0),
            _ => {}
        }
    }
    measuring.await??;
    for (name, (seq, value)) in &view {
        println!("{name:<24} {value:>7.1}   reading {seq}");
    }
    println!("{seen} readings were seen, {missed} were overtaken by newer ones");
    assert_eq!(seen + missed, 3 * u64::from(READINGS), "each was seen or is accounted for");
    assert!(view.values().all(|(_, value)| *value == f64::from(READINGS) / 10.0));

    terminal.stop().await;
    station.stop().await;
    Ok(())
}
