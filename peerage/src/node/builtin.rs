//! The services that every node offers: who it is, whom it knows, how it is, and two for measuring.

use std::sync::Arc;
use std::time::Duration;

use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::limits;
use peerage_proto::outcome::Code;
use serde::{Deserialize, Serialize};

use super::presence::FindError;
use super::reading::Reading as _;
use super::shared::Shared;
use super::snapshot::{self, ServiceEntry};
use crate::channel::Failure;
use crate::dispatch::{Asked, Called, Origin, Reach, Services};
use crate::flag::Flag;

/// Adds the built-in services.
pub(super) fn add_to(services: &Arc<Services>, shared: &Arc<Shared>) {
    // The table must not hold what holds the table.
    let offered = Arc::downgrade(services);
    services.direct("peerage/services", Reach::Everybody, move |asked| {
        let offered = offered.upgrade().map(|services| offered_to(&services, asked.origin)).unwrap_or_default();
        value(asked, &offered)
    });
    services.waiting("peerage/null", Reach::Everybody, null);
    let node = shared.clone();
    services.direct("peerage/info", Reach::Everybody, move |asked| {
        let private = !matches!(asked.origin, Origin::Plain(_));
        value(asked, &node.info(private))
    });
    let node = shared.clone();
    services.direct("peerage/peers", Reach::Members, move |asked| value(asked, &node.peers()));
    let node = shared.clone();
    services.direct("peerage/stats", Reach::Members, move |asked| stats(asked, &node));
    let node = shared.clone();
    services.waiting("peerage/find", Reach::Members, move |called| find(node.clone(), called));
    let node = shared.clone();
    services.waiting("peerage/why", Reach::Members, move |called| why(node.clone(), called));
    services.direct("peerage/ping", Reach::Everybody, |asked| Ok(Payload::null(asked.content.encoding())));
    services.direct("peerage/pass_through", Reach::Everybody, pass_through);
}

/// Takes all that comes along, if it is a conversation, throws it away, and answers with the flag *null*.
async fn null(called: Called) {
    if let Some(Ok(mut items)) = called.facts.streams.as_ref().map(|streams| streams.incoming::<()>()) {
        items.exhaust().await;
    }
    called.answer(Err(Flag::NULL.into()));
}

/// The status record; with the argument `"openmetrics"` every counter as text in that format.
fn stats(asked: &Asked<'_>, node: &Shared) -> Result<Payload, Failure> {
    let format: Vec<String> = asked.args().decode().map_err(bad_request)?;
    match format.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => value(asked, &node.status()),
        ["openmetrics"] => value(asked, &node.open_metrics()),
        _ => Err(Failure::new("peerage/stats takes no argument, or \"openmetrics\"").code(Code::BAD_REQUEST)),
    }
}

/// The services that whoever asks from there finds, beside those that every node offers.
fn offered_to(services: &Services, origin: &Origin) -> snapshot::Services {
    let table = services.watch().borrow().clone();
    let services = table.own(origin).map(|entry| {
        let (options, counts) = (entry.options(), entry.figures.counts());
        ServiceEntry {
            tag: entry.tag().to_owned(),
            description: options.description.clone(),
            restricted: options.allow.is_some(),
            concurrency: options.concurrency.map(|calls| calls as u64),
            at_work: counts.at_work,
            ok: counts.ok,
            failed: counts.failed,
            refused: counts.refused,
            busy: counts.put_off,
            stopped: counts.stopped,
            p50_us: counts.p50_us,
            p99_us: counts.p99_us,
        }
    });
    snapshot::Services { services: services.collect() }
}

/// Whether a node is there: present, absent or not yet known, which is waited out for `within_ms`, by default not at all.
async fn find(node: Arc<Shared>, called: Called) {
    #[derive(Deserialize)]
    struct Wanted {
        #[serde(default)]
        within_ms: u64,
    }
    let wanted = called.args.decode::<(String,)>().and_then(|(who,)| Ok((who, called.kwargs.decode::<Wanted>()?)));
    let (who, wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(why) => return called.request.fail_with(bad_request(why)),
    };
    // Nobody waits here for longer than a call may take.
    let within = Duration::from_millis(wanted.within_ms).min(limits::CALL_DEADLINE_DEFAULT);
    let caller = called.request.caller();
    tokio::select! {
        found = node.presence_within(&who, within) => match found {
            Ok(presence) => called.request.reply(&presence),
            Err(why) => called.request.fail_with(not_found(&why)),
        },
        _ = caller.ended() => {}
    }
}

/// Why a node counts as what it does here.
async fn why(node: Arc<Shared>, called: Called) {
    let who = match called.args.decode::<(String,)>() {
        Ok((who,)) => who,
        Err(why) => return called.request.fail_with(bad_request(why)),
    };
    match node.why(&who).await {
        Ok(why) => called.request.reply(&why),
        Err(why) => called.request.fail_with(not_found(&why)),
    }
}

fn not_found(why: &FindError) -> Failure {
    let code = match why {
        FindError::Absent { .. } => "absent",
        FindError::NotYetKnown { .. } => "not-yet-known",
        FindError::Ambiguous { .. } => "ambiguous",
        FindError::ShuttingDown => "shutting-down",
    };
    Failure::new(why.to_string()).code(Code::new(code))
}

/// Gives back what it got: one positional value alone as it is, byte for byte, otherwise `[args, kwargs]`.
fn pass_through(asked: &Asked<'_>) -> Result<Payload, Failure> {
    let encoding = asked.content.encoding();
    if let Some(only) = asked.invocation.only_argument(asked.content) {
        return Ok(Payload::from_parts(encoding, asked.content.bytes().slice(only)));
    }
    let (args, kwargs) = (asked.args(), asked.kwargs());
    let mut both = Vec::with_capacity(args.len() + kwargs.len() + 4);
    let (before, between, after): (&[u8], &[u8], &[u8]) = match encoding {
        Encoding::MsgPack => (&[0x92], &[], &[]),
        Encoding::Json => (b"[", b", ", b"]"),
    };
    for part in [before, &args.bytes()[..], between, &kwargs.bytes()[..], after] {
        both.extend_from_slice(part);
    }
    Ok(Payload::from_parts(encoding, both.into()))
}

/// A value of ours in the encoding of the request.
pub(super) fn value(asked: &Asked<'_>, value: &(impl Serialize + ?Sized)) -> Result<Payload, Failure> {
    Payload::encode(value, asked.content.encoding()).map_err(|why| Failure::new(why.to_string()).code(Code::INTERNAL))
}

fn bad_request(why: impl std::error::Error) -> Failure {
    Failure::new(why.to_string()).code(Code::BAD_REQUEST)
}
