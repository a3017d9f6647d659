//! Services whose processes are killed and restarted while they are called: every call has one outcome, none is wrong, and no
//! work is begun twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peerage::network::Secret;
use peerage::node::{Filter, NodeId, Presence};
use peerage::outcome::Outcome;
use peerage::{Address, CallError, Identity, Network, Node};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::home::Home;
use crate::worker::{Worker, Workplace};

/// A network with nodes of this process that call.
struct Lab {
    network: Network,
    file: PathBuf,
    log: PathBuf,
    seed: Address,
    callers: Vec<Node>,
    _home: Home,
}

impl Lab {
    async fn new(callers: usize) -> Lab {
        let home = Home::new();
        let network = Network::new("lab", Secret::generate()).expect("a name");
        fs::create_dir_all(home.path("")).expect("a folder");
        let folder = home.path("networks");
        peerage::private_file::private_folder(&folder).expect("a folder");
        let file = folder.join("lab.network");
        network.create(&file).expect("a file");
        let mut nodes = Vec::new();
        let mut seed = None;
        for _ in 0..callers {
            let mut builder = Node::builder(Identity::generate())
                .network(network.clone())
                .listen("tls://127.0.0.1:0".parse().expect("an address"));
            if let Some(seed) = &seed {
                builder = builder.seed(Address::clone(seed));
            }
            let node = builder.start().await.expect("a node");
            seed.get_or_insert_with(|| node.addresses()[0].clone());
            nodes.push(node);
        }
        let log = home.beside("log");
        Lab { network, file, log, seed: seed.expect("a caller"), callers: nodes, _home: home }
    }

    fn worker(&self) -> Worker {
        Worker::start(&Workplace { network: &self.file, seed: &self.seed, log: &self.log })
    }

    /// Which work was begun how often.
    fn begun(&self) -> BTreeMap<u64, u32> {
        let mut begun = BTreeMap::new();
        for line in fs::read_to_string(&self.log).unwrap_or_default().lines() {
            *begun.entry(line.parse().expect("a number")).or_default() += 1;
        }
        begun
    }

    async fn stop(self) {
        for node in self.callers {
            node.stop().await;
        }
        drop(self.network);
    }
}

/// Calls `slow` of one node so often, half from each caller. Each outcome comes with the number of the call and the time.
fn call_slow(lab: &Lab, peer: NodeId, calls: u64) -> JoinSet<(u64, Result<u64, CallError>, Instant)> {
    let mut open = JoinSet::new();
    for n in 0..calls {
        let node = lab.callers[n as usize % lab.callers.len()].clone();
        open.spawn(async move {
            let outcome = node.call("slow").peer::<u64>(peer).arg(&n).await;
            (n, outcome, Instant::now())
        });
    }
    open
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = timeout(Duration::from_secs(20), async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    patience.await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[test]
fn when_a_node_is_killed_with_500_calls_in_flight_each_has_its_outcome_and_another_one_serves() {
    let _alone = crate::alone();
    run(async {
        let lab = Lab::new(2).await;
        let (mut doomed, other) = (lab.worker(), lab.worker());
        let id: NodeId = doomed.id.parse().expect("an id");
        for node in &lab.callers {
            let both =
                || matches!(node.providers("quick", &Filter::new()), Presence::Present { nodes } if nodes.len() == 2);
            until("both are known", both).await;
        }
        let mut open = call_slow(&lab, id, 500);
        until("all are begun", || lab.begun().len() == 500).await;
        doomed.kill();
        let killed = Instant::now();
        let mut slowest = Duration::ZERO;
        while let Some(ended) = open.join_next().await {
            let (n, outcome, at) = ended.expect("no task panics");
            assert!(matches!(outcome, Err(CallError::ConnectionLost { .. })), "{n}: {outcome:?}");
            slowest = slowest.max(at.saturating_duration_since(killed));
        }
        assert!(slowest < Duration::from_secs(1), "the last outcome came after {slowest:?}");
        let mut served = Duration::ZERO;
        for (node, n) in lab.callers.iter().zip(1_000..) {
            let answer = node.call("quick").any::<u64>().arg(&n).await;
            assert_eq!(answer, Ok(n));
            served = served.max(killed.elapsed());
        }
        assert!(served < Duration::from_secs(2), "another node served after {served:?}");
        assert!(lab.begun().values().all(|times| *times == 1), "nothing ran twice");
        crate::tell(&format!(
            "kill -9 with 500 calls: the last outcome after {slowest:?}, served again after {served:?}"
        ));
        drop(other);
        lab.stop().await;
    });
}

#[test]
fn six_nodes_are_restarted_one_after_the_other_under_a_thousand_calls_a_second_and_no_call_fails() {
    let _alone = crate::alone();
    run(async {
        let lab = Lab::new(1).await;
        let mut workers: Vec<Worker> = (0..6).map(|_| lab.worker()).collect();
        let node = lab.callers[0].clone();
        let (is_over, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let calls = tokio::spawn(called_at(node, 1_000, is_over.clone(), begun.clone()));
        for _ in 0..6 {
            let next = begun.load(Ordering::Relaxed) + 800;
            until("calls go on", || begun.load(Ordering::Relaxed) > next).await;
            let old = workers.remove(0);
            tokio::task::block_in_place(|| old.leave());
            workers.push(tokio::task::block_in_place(|| lab.worker()));
        }
        is_over.store(true, Ordering::Relaxed);
        let outcomes = calls.await.expect("no task panics");
        let calls: u64 = outcomes.values().sum();
        assert_eq!(outcomes.keys().collect::<Vec<_>>(), [&Outcome::Ok], "{outcomes:?}");
        assert!(calls > 4_800, "{calls}");
        assert!(lab.begun().values().all(|times| *times == 1), "nothing ran twice");
        crate::tell(&format!("rolling restart of 6 nodes: {calls} calls, all answered"));
        drop(workers);
        lab.stop().await;
    });
}

/// Calls any worker at this rate until it is over, and counts the outcomes.
async fn called_at(node: Node, rate: u32, is_over: Arc<AtomicBool>, begun: Arc<AtomicU64>) -> BTreeMap<Outcome, u64> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut open = JoinSet::new();
    let mut outcomes = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let n = begun.fetch_add(1, Ordering::Relaxed);
        let node = node.clone();
        open.spawn(async move { node.call("quick").any::<u64>().arg(&n).await });
        while let Some(ended) = open.try_join_next() {
            count(&mut outcomes, ended.expect("no task panics"));
        }
    }
    while let Some(ended) = open.join_next().await {
        count(&mut outcomes, ended.expect("no task panics"));
    }
    outcomes
}

fn count(outcomes: &mut BTreeMap<Outcome, u64>, outcome: Result<u64, CallError>) {
    let outcome = outcome.map_or_else(|why| why.outcome(), |_| Outcome::Ok);
    *outcomes.entry(outcome).or_default() += 1;
}

/// `serve --command` at a node of its own process: 64 calls are handed over, the others are told to come again.
async fn calls_of_a_command(kill: impl FnOnce(&mut crate::node::Up, &mut crate::node::Killed)) {
    let home = Home::new();
    home.done(&["network", "new", "lab"]);
    let mut node = home.up_at_loopback("b", "lab", &[]);
    let log = home.beside("log");
    let command = format!("sh -c 'cat >> {}; exec sleep 30'", log.display());
    let mut serve = home.peerage(&["serve", "slow", "--command", &command, "--node", "b"]).spawn().expect("starts");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(serve.stdout.take().expect("stdout is piped"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a ready line");
    assert!(line.starts_with("ready slow"), "{line}");
    let mut serve = crate::node::Killed(serve);

    let network = Network::open(&home.path("networks/lab.network")).expect("a network file");
    let (seed, id): (Address, NodeId) =
        (node.address("tls://").parse().expect("a seed"), node.id().parse().expect("an id"));
    let mut callers = Vec::new();
    for _ in 0..2 {
        let caller = Node::builder(Identity::generate()).network(network.clone()).start().await.expect("a node");
        caller.connect(&seed).await.expect("a link");
        callers.push(caller);
    }
    let lab = Lab { network, file: PathBuf::new(), log: log.clone(), seed, callers, _home: home };
    let mut open = call_slow(&lab, id, 500);
    until("as many as may be are begun", || lines(&log) == 64).await;
    kill(&mut node, &mut serve);
    let killed = Instant::now();
    let mut outcomes = BTreeMap::new();
    while let Some(ended) = open.join_next().await {
        let (n, outcome, at) = ended.expect("no task panics");
        let outcome = outcome.expect_err("nothing is answered").outcome();
        assert!(at.saturating_duration_since(killed) < Duration::from_secs(1), "{n}");
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    assert_eq!(outcomes, BTreeMap::from([(Outcome::Busy, 436), (Outcome::ConnectionLost, 64)]));
    assert_eq!(lines(&log), 64, "nothing ran twice, and nothing of what was put off");
    lab.stop().await;
}

fn lines(log: &Path) -> usize {
    fs::read_to_string(log).unwrap_or_default().lines().count()
}

#[test]
fn when_the_node_of_a_served_command_is_killed_each_call_has_its_outcome() {
    let _alone = crate::alone();
    run(calls_of_a_command(|node, _| node.kill()));
}

#[test]
fn when_only_the_serving_process_is_killed_each_call_has_its_outcome_and_the_name_is_free() {
    let _alone = crate::alone();
    run(calls_of_a_command(|_, serve| {
        serve.0.kill().expect("a child can be killed");
    }));
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("there is a runtime").block_on(work);
}
