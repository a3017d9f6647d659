//! zenoh, peer to peer over TCP, as its own examples of throughput use it.
//!
//! The publisher blocks when its queue is full, small events are batched, the subscriber is a callback. `--mode ""` leaves
//! zenoh's runtime as it comes, one worker for each of its tasks and two for receiving; `--mode one-worker` has all of them
//! share one worker.

use std::{
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use harness::{Events, Receiver, Source, announce};
use zenoh::{Config, Session, Wait as _, bytes::ZBytes, qos::CongestionControl};

fn main() -> ExitCode {
    match share_one_worker() {
        Ok(()) => harness::run_events::<Zenoh>(),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Zenoh reads the form of its runtime from the environment, so the program starts itself anew with that in it.
fn share_one_worker() -> io::Result<()> {
    let is_asked = std::env::args().any(|argument| argument == ONE_WORKER);
    if !is_asked || std::env::var_os(RUNTIME_VARIABLE).is_some() {
        return Ok(());
    }
    let mut same = Command::new(std::env::current_exe()?);
    Err(same.args(std::env::args_os().skip(1)).env(RUNTIME_VARIABLE, RUNTIME_OF_ONE).exec())
}

/// The peer. How many workers it has is decided before it begins.
#[derive(Clone, Copy, Debug)]
struct Zenoh;

impl Events for Zenoh {
    fn with_mode(mode: &str) -> io::Result<Self> {
        match mode {
            "" | ONE_WORKER => Ok(Self),
            other => Err(io::Error::other(format!("zenoh has no mode {other:?}"))),
        }
    }

    async fn publish(self, source: Source) -> io::Result<()> {
        on_a_thread(move || {
            let session = open("listen/endpoints", "tcp/127.0.0.1:0")?;
            let publisher = session.declare_publisher(KEY).congestion_control(CongestionControl::Block).express(false);
            let publisher = publisher.wait().map_err(io::Error::other)?;
            let locators = session.info().locators().wait();
            announce(locators.first().ok_or_else(|| io::Error::other("zenoh listens nowhere"))?)?;
            // What was published while another subscriber joined was seen to get lost, for all that publishers block.
            while session.info().peers_zid().wait().count() < source.subscribers() {
                thread::sleep(Duration::from_millis(1));
            }
            while !publisher.matching_status().wait().map_err(io::Error::other)?.matching() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(SUBSCRIBED_WITHIN);
            // Made once: what is sent again and again is a reference to the same content.
            let turn: Vec<ZBytes> = source.turn().map(ZBytes::from).collect();
            for content in turn.iter().cycle() {
                publisher.put(content.clone()).wait().map_err(io::Error::other)?;
            }
            Ok(())
        })
        .await
    }

    async fn subscribe(&self, address: &str, receiver: Receiver) -> io::Result<()> {
        let address = address.to_owned();
        on_a_thread(move || {
            let session = open("connect/endpoints", &address)?;
            let mut receiver = Some(receiver);
            let subscriber = session.declare_subscriber(KEY).callback_mut(move |sample| {
                let content = sample.payload();
                let mut beginning = [0; 8];
                let outcome = content.reader().read_exact(&mut beginning);
                if let Some(open) = &mut receiver
                    && let Err(why) = outcome.and_then(|()| open.hear_parts(content.len(), beginning))
                {
                    receiver.take().into_iter().for_each(|receiver| receiver.fail(io::Error::other(why.to_string())));
                }
            });
            let subscriber = subscriber.wait().map_err(io::Error::other)?;
            // Both are used until the process ends.
            std::mem::forget((session, subscriber));
            Ok(())
        })
        .await
    }
}

/// Zenoh's blocking calls, which its examples use, refuse to run on a worker of a current-thread runtime.
async fn on_a_thread(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    // Nobody waits any more when the process ends.
    thread::spawn(move || drop(done.send(work())));
    outcome.await.map_err(io::Error::other)?
}

fn open(role: &str, endpoint: &str) -> io::Result<Session> {
    let mut config = Config::default();
    let settings = [
        ("mode", "\"peer\""),
        // Both ends are told where the other is; the sessions of one process are not to find each other.
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
        ("listen/endpoints", "[]"),
        ("transport/link/tx/queue/size/data", "16"),
        ("transport/link/rx/buffer_size", "1048576"),
    ];
    for (key, value) in settings {
        config.insert_json5(key, value).map_err(io::Error::other)?;
    }
    config.insert_json5(role, &format!("[{endpoint:?}]")).map_err(io::Error::other)?;
    zenoh::open(config).wait().map_err(io::Error::other)
}

/// What the last subscriber may need from its link to its subscription.
const SUBSCRIBED_WITHIN: Duration = Duration::from_millis(100);
const KEY: &str = "bench/events";
const ONE_WORKER: &str = "one-worker";
const RUNTIME_VARIABLE: &str = "ZENOH_RUNTIME";
const RUNTIME_OF_ONE: &str =
    "(rx: (handover: app), tx: (handover: app), acc: (handover: app), net: (handover: app), app: (worker_threads: 1))";
