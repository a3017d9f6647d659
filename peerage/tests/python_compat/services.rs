//! Python programs and the services of nodes: real `aiomas.rpc` proxies call them, over a plain listener and over the control
//! socket, and a program that is nothing but Python serves. Every value comes back equal, whichever way it went.

use std::future::IntoFuture as _;
use std::path::PathBuf;
use std::time::Duration;

use peerage::network::{Network, Secret};
use peerage::node::Builder;
use peerage::outcome::Stop;
use peerage::{Address, CallError, Encoding, Failure, Identity, Node, Value};
use serde::Serialize;
use tempfile::TempDir;

use crate::checks::{Checks, STEP, within};
use crate::place::in_python;
use crate::process::Process;
use crate::python::Python;

/// A network, and a folder for sockets.
struct Lab {
    network: Network,
    folder: TempDir,
}

impl Lab {
    fn new() -> Lab {
        Lab { network: Network::new("lab", Secret::generate()).unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn node(&self) -> Builder {
        Node::builder(Identity::generate()).network(self.network.clone())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("run/a.sock")
    }
}

async fn add(a: i64, b: i64) -> Result<i64, Failure> {
    Ok(a + b)
}

async fn no() -> Result<(), Failure> {
    Err(Failure::new("no such record").code(peerage::outcome::Code::new("not-found")))
}

/// What a program of Python prints that has ended well.
fn printed(python: Process) -> Vec<String> {
    let (lines, status) = python.finish(STEP).expect("it ends");
    assert!(status.success(), "{lines:?}");
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_proxies_call_services_over_a_plain_listener_and_over_the_control_socket() {
    let Some(python) = Python::ready() else { return };
    let mut checks = Checks::of("aiomas.rpc calls services");
    for encoding in Encoding::ALL {
        let lab = Lab::new();
        let plain: Address = "tcp://127.0.0.1:0?dialect=plain".parse().unwrap();
        let node = lab.node().listen(plain).control(lab.socket()).start().await.unwrap();
        node.serve("add", add).unwrap();
        node.serve("no", no).unwrap();
        let plain = node.addresses().iter().find(|address| address.port().is_some()).cloned().unwrap();
        for place in [in_python(&plain), format!("unix:{}", lab.socket().display())] {
            let program = python.start("call.py", &[&place, &encoding.to_string()]);
            let lines = tokio::task::spawn_blocking(|| printed(program)).await.unwrap();
            checks.equal(
                "the values and the exception",
                lines,
                ["5", "[[[1, \"two\", null]], {\"three\": 3.5}]", "[not-found] no such record"],
            );
        }
        within("it stops", node.stop()).await;
    }
    checks.report();
}

/// A node with the Python program that serves, and another node that is linked with it.
async fn served_by_python(python: &Python, lab: &Lab) -> (Node, Node, Process) {
    let host = lab.node().listen("tls://127.0.0.1:0".parse().unwrap()).control(lab.socket()).start().await.unwrap();
    let other = lab.node().start().await.unwrap();
    within("a link", other.connect(&host.addresses()[0])).await.unwrap();
    let mut program = python.start("serve.py", &[&lab.socket().display().to_string()]);
    assert_eq!(program.line(STEP).as_deref(), Some("serving py/add py/greet"));
    (host, other, program)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_python_alone_serves_every_node_and_stops_when_nobody_waits() {
    #[derive(Serialize)]
    struct After {
        after: f64,
    }
    let Some(python) = Python::ready() else { return };
    let mut checks = Checks::of("Python serves through the control socket");
    let lab = Lab::new();
    let (host, other, program) = served_by_python(python, &lab).await;
    let sum = other.call("py/add").peer::<i64>(host.id()).args(&(2, 3, 4));
    checks.equal("a sum", within("an answer", sum).await, Ok(9));
    let greeting = other.call("py/greet").peer::<String>(host.id()).arg("bee");
    checks.equal("a greeting", within("an answer", greeting).await, Ok("hello bee".to_owned()));

    let wrong = within("an answer", other.call("py/add").peer::<Value>(host.id()).arg("x")).await;
    let is_type_error =
        |error: &CallError| matches!(error, CallError::Remote { code, .. } if code.as_str() == "TypeError");
    checks.holds("an exception is a remote error with the name of its class", wrong.as_ref().is_err_and(is_type_error));

    let bytes = other.call("py/add").peer::<Value>(host.id()).arg(&Value::Bytes(vec![0]));
    let refused = within("an answer", bytes).await;
    let names_path = |error: &CallError| !error.may_have_run() && error.to_string().contains("$[0]");
    checks.holds("what JSON cannot carry is refused before it is handed over", refused.as_ref().is_err_and(names_path));

    let late = other.call("py/greet").peer::<Value>(host.id()).arg("bee").kwargs(&After { after: 60.0 });
    let late = within("an outcome", late.deadline(Duration::from_millis(300))).await;
    checks.equal("work that nobody waits for", late, Err(CallError::Deadline { stop: Stop::Stopped }));

    drop(program);
    // Asked until the name is gone: a call that the program was handed is lost, one that it was not is refused.
    let gone =
        async { while !matches!(other.call("py/add").peer::<i64>(host.id()).await, Err(CallError::Refused { .. })) {} };
    within("its services go with it", gone).await;
    checks.report();
    host.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pass_through_returns_to_python_every_value_that_its_codec_carries() {
    let Some(python) = Python::ready() else { return };
    let mut checks = Checks::of("peerage/pass_through, asked from Python");
    for encoding in Encoding::ALL {
        let lab = Lab::new();
        let plain: Address = "tcp://127.0.0.1:0?dialect=plain".parse().unwrap();
        let node = lab.node().listen(plain).control(lab.socket()).start().await.unwrap();
        let other = lab.node().listen("tls://127.0.0.1:0".parse().unwrap()).start().await.unwrap();
        within("a link", node.connect(&other.addresses()[0])).await.unwrap();
        let plain = node.addresses().iter().find(|address| address.port().is_some()).cloned().unwrap();
        let (socket, peer) = (format!("unix:{}", lab.socket().display()), other.id().to_string());
        let codec = encoding.to_string();
        for arguments in [&[&in_python(&plain), &codec][..], &[&socket, &codec], &[&socket, &codec, &peer]] {
            let arguments: Vec<&str> = arguments.iter().map(|text| text.as_str()).collect();
            let program = python.start("pass_through.py", &arguments);
            let lines = tokio::task::spawn_blocking(|| printed(program)).await.unwrap();
            let passed = lines.first().and_then(|line| line.strip_suffix(" checks passed")?.parse().ok());
            checks.made_elsewhere(passed.unwrap_or_else(|| panic!("{lines:?}")));
        }
        within("it stops", node.stop()).await;
        other.stop().await;
    }
    checks.report();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_python_alone_hears_events_of_every_node_in_order() {
    let Some(python) = Python::ready() else { return };
    let mut checks = Checks::of("Python subscribes through the control socket");
    let lab = Lab::new();
    let host = lab.node().listen("tls://127.0.0.1:0".parse().unwrap()).control(lab.socket()).start().await.unwrap();
    let other = lab.node().start().await.unwrap();
    within("a link", other.connect(&host.addresses()[0])).await.unwrap();
    let mut program = python.start("subscribe.py", &[&lab.socket().display().to_string(), "build/**", "5"]);
    checks.equal("it is subscribed", program.line(STEP), Some("attached".to_owned()));
    let done = other.event("build/done").unwrap();
    let bytes = within("a receipt", async { done.publish(&Value::Bytes(vec![0])).await }).await.unwrap();
    checks.equal("one subscription matches", bytes.matched, 1);
    for value in [Value::from("linux"), Value::Null, Value::List(vec![1.into(), 2.5.into()])] {
        within("a receipt", async { done.publish(&value).await }).await.unwrap();
    }
    let own = host.event("build/own").unwrap();
    let told = within("a receipt", own.publish(&7).confirmed(STEP).into_future()).await.unwrap();
    checks.equal("an event of its own node", told.delivered, 1);
    within("a receipt", async { done.publish("last").await }).await.unwrap();
    let mut lines = tokio::task::spawn_blocking(|| printed(program)).await.unwrap();
    // Of two nodes there is no order.
    let own = lines.iter().position(|line| line == "build/own 1 7");
    checks.holds("the event of its own node is heard", own.is_some());
    lines.remove(own.unwrap());
    let wanted = [
        "missed build/done 1 1",
        "build/done 2 \"linux\"",
        "build/done 3 null",
        "build/done 4 [1, 2.5]",
        "build/done 5 \"last\"",
    ];
    checks.equal("the others are in order, and what JSON cannot carry is a gap", lines, wanted);
    checks.report();
    host.stop().await;
    other.stop().await;
}
