//! Real aiomas asks, our server answers.

use peerage::{Encoding, Failure, Listener, Server, Value};
use serde_json::Value as Json;

use crate::checks::{Checks, STEP, within};
use crate::log;
use crate::operations::operation;
use crate::place::{Place, Transport, in_python};
use crate::process::Process;
use crate::python::Python;
use crate::relay::Relay;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_is_served_in_json_over_tcp() {
    serve_a_real_client(Encoding::Json, Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_is_served_in_json_over_unix_sockets() {
    serve_a_real_client(Encoding::Json, Transport::Unix).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_is_served_in_messagepack_over_tcp() {
    serve_a_real_client(Encoding::MsgPack, Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_is_served_in_messagepack_over_unix_sockets() {
    serve_a_real_client(Encoding::MsgPack, Transport::Unix).await;
}

/// The whole table of operations, through the relay that misbehaves for us; the listener finds out the codec by itself.
/// Then all values once more, straight to a server that opens each and writes it anew.
async fn serve_a_real_client(encoding: Encoding, transport: Transport) {
    let Some(python) = Python::ready() else { return };
    let place = Place::new(transport);
    let mut checks = Checks::of(format!("aiomas asks, {encoding}, {transport:?}"));
    let (all, echoes) = match encoding {
        Encoding::Json => (69, 59),
        Encoding::MsgPack => (75, 65),
    };

    let server = Listener::bind(&place.free("server")).await.unwrap().serve(operation);
    let relay = Relay::start(&place.free("relay"), server.local_address(), encoding).await;
    let client = python.start("aiomas_client.py", &[&in_python(relay.address()), &encoding.to_string()]);
    checks.made_elsewhere(passed(client, all).await);

    let address = place.free("typed").with_codec(encoding);
    let typed = Listener::bind(&address).await.unwrap().serve(opened_and_written_anew);
    let client =
        python.start("aiomas_client.py", &[&in_python(typed.local_address()), &encoding.to_string(), "--echo-only"]);
    checks.made_elsewhere(passed(client, echoes).await);
    checks.report();
}

pub(crate) async fn opened_and_written_anew(content: Value) -> Result<Value, Failure> {
    Ok(content)
}

/// Waits for the summary of a client, which must have made `wanted` checks, all of them passed.
pub(crate) async fn passed(client: Process, wanted: u32) -> u32 {
    let lines = lines_of(client).await;
    let summary: Json = serde_json::from_str(lines.last().expect("a summary")).unwrap();
    assert_eq!(summary["ok"], true, "{lines:#?}");
    assert_eq!(summary["passed"], wanted, "{lines:#?}");
    wanted
}

/// The output of a program that ends by itself.
async fn lines_of(program: Process) -> Vec<String> {
    let (lines, _) =
        tokio::task::spawn_blocking(|| program.finish(4 * STEP)).await.unwrap().expect("the program ends in time");
    lines
}

/// Asks with a real client, one content after the other.
async fn ask(python: &Python, server: &Server, encoding: Encoding, contents: &[&str]) -> Vec<Json> {
    let (address, codec) = (in_python(server.local_address()), encoding.to_string());
    let arguments = [&[address.as_str(), codec.as_str()], contents].concat();
    let lines = lines_of(python.start("aiomas_call.py", &arguments)).await;
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_and_a_panic_reach_a_real_client_as_remote_exceptions_with_their_text() {
    let Some(python) = Python::ready() else { return };
    for encoding in Encoding::ALL {
        let mut checks = Checks::of(format!("aiomas meets failures, {encoding}"));
        let place = Place::new(Transport::Tcp);
        let server = Listener::bind(&place.free("server")).await.unwrap().serve(operation);
        let contents =
            [r#"["fail", "böom"]"#, r#"["panic", "a bug"]"#, r#"["unserializable"]"#, r#"["echo", "alive"]"#];
        let answers = ask(python, &server, encoding, &contents).await;
        checks.equal("answers", answers.len(), 4);
        checks.equal("the failure, as it was given", &answers[0]["exception"], "böom");
        checks.equal("the panic, without its text", &answers[1]["exception"], "[internal] the handler panicked");
        let unencodable = answers[2]["exception"].as_str().unwrap_or_default();
        checks.holds(
            "the answer that cannot be encoded",
            unencodable.starts_with("[internal] the answer: no codec carries the integer"),
        );
        checks.equal("the channel, afterwards", &answers[3]["result"], "alive");
        checks.report();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_of_the_other_codec_is_cut_with_a_reason_that_names_both() {
    log::keep();
    let Some(python) = Python::ready() else { return };
    for (ours, theirs) in [(Encoding::Json, Encoding::MsgPack), (Encoding::MsgPack, Encoding::Json)] {
        let mut checks = Checks::of(format!("aiomas speaks {theirs}, we {ours}"));
        let place = Place::new(Transport::Tcp);
        let address = place.free("server").with_codec(ours);
        let mut listener = Listener::bind(&address).await.unwrap();
        let (address, codec) = (in_python(listener.local_address()), theirs.to_string());
        let client = python.start("aiomas_call.py", &[&address, &codec, r#""hello""#]);
        let channel = within("the client connects", listener.accept()).await;
        let why = within("the channel ends", channel.ended()).await;
        let (ours, theirs) = match ours {
            Encoding::Json => ("JSON", "MessagePack"),
            Encoding::MsgPack => ("MessagePack", "JSON"),
        };
        let wanted = format!("the frame is not {ours} but looks like {theirs}: both ends must use the same codec");
        checks.holds("the reason names both codecs", why.to_string().contains(&wanted));
        let lines = lines_of(client).await;
        checks.holds("aiomas notices the end", lines.concat().contains("lost"));
        let logged = log::tells(&channel.remote_address().to_string(), &wanted);
        checks.holds("the log tells it", logged);
        checks.report();
    }
}
