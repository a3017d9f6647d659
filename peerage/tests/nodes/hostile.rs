//! Who must not get in, a thousand times each, with real connections: refused every time, told nothing before that, and the
//! one who was refused knows why from its own side.
//!
//! The machine alone is attacked by the thousand in `peerage_proto::hello`; here are the ways around it: TLS, sockets, nodes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use peerage::network::{Network, Secret};
use peerage::node::{Builder, ConnectError, Limits, NodeId};
use peerage::{Address, Identity, Node};
use peerage_proto::frame::Side;
use peerage_proto::hello::{Binding, Config, HelloError, Versions};
use peerage_proto::keys::{SIGNATURE_BYTES, Signer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

use crate::place::{Place, address, memory, soon};
use crate::rogue::{self, Listens, Rogue, Secured, rest, shake};

/// Tries of each attack.
const TRIES: u64 = 1_000;

/// Attackers at once.
const WORKERS: usize = 8;

/// Runs an attack by [`WORKERS`] at once, [`TRIES`] times in all. It panics when it is not refused as it should be.
async fn besiege<F: Future<Output = ()> + Send>(kind: &str, attack: impl Fn(usize) -> F + Clone + Send + 'static) {
    let started = Instant::now();
    let refused = Arc::new(AtomicU32::new(0));
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (attack, refused) = (attack.clone(), refused.clone());
        workers.spawn(async move {
            for _ in 0..TRIES / WORKERS as u64 {
                soon(attack(worker)).await;
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    println!("{kind}: {} of {TRIES} refused in {:?}", refused.load(Ordering::Relaxed), started.elapsed());
}

/// A node that takes as many connections as come.
fn busy(builder: Builder) -> Builder {
    builder.limits(Limits { accepts_per_second: 1_000_000, ..Limits::default() })
}

/// A node that listens, and the network it belongs to.
struct Door {
    place: Place,
    identity: Identity,
    node: Node,
}

impl Door {
    async fn at(listen: impl Fn(&Place) -> Address) -> Door {
        let (place, identity) = (Place::new(), Identity::generate());
        let node = busy(Node::builder(identity.clone())).network(place.network.clone()).listen(listen(&place));
        let node = node.start().await.unwrap();
        Door { place, identity, node }
    }

    async fn at_tls() -> Door {
        Door::at(|_| address("tls://127.0.0.1:0")).await
    }

    async fn at_unix() -> Door {
        Door::at(|place| Address::unix(place.path("door.link")).unwrap()).await
    }

    fn address(&self) -> Address {
        self.node.addresses()[0].clone()
    }

    /// A node of its network for each attacker to send to where the attacker listens.
    async fn members(&self) -> Arc<[Node]> {
        let mut nodes = Vec::new();
        for _ in 0..WORKERS {
            nodes.push(busy(self.place.node("a")).listen(address("tls://127.0.0.1:0")).start().await.unwrap());
        }
        nodes.into()
    }

    /// What a member has to say and to hear to be admitted here, recorded.
    async fn records(&self, member: &Rogue) -> (Vec<u8>, Vec<u8>) {
        let Secured { mut stream, binding } = member.dial(&self.address()).await.unwrap();
        let config = member.config(Side::Dialler, &self.place.network, binding);
        let admitted = shake(&mut stream, config).await;
        assert!(admitted.outcome.is_ok(), "{admitted:?}");
        (rogue::first_frame(&admitted.said), admitted.heard)
    }

    /// Nobody got in, except who was let in for the record.
    async fn is_untouched(&self, strangers: u64, admitted: u64) {
        crate::place::until(|| self.counter("peerage_admissions_of_strangers_total") >= strangers).await;
        assert_eq!(self.counter("peerage_admissions_of_strangers_total"), strangers);
        assert_eq!(self.counter("peerage_admissions_total"), admitted);
        assert_eq!(self.counter("peerage_connections_crowded_out_total"), 0);
        crate::place::until(|| self.node.status().links.is_empty()).await;
    }

    fn counter(&self, name: &str) -> u64 {
        self.node.status().counters[name]
    }
}

fn other_secret() -> Network {
    Network::new("lab", Secret::generate()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outsider_with_another_secret_hears_not_a_byte_and_knows_why() {
    let door = Door::at_tls().await;
    let (outsider, at) = (Rogue::new(&Identity::generate()), door.address());
    besiege("another secret over tls, by hand", move |_| {
        let (outsider, at) = (outsider.clone(), at.clone());
        async move {
            let Secured { mut stream, binding } = outsider.dial(&at).await.unwrap();
            let refused = shake(&mut stream, outsider.config(Side::Dialler, &other_secret(), binding)).await;
            assert_eq!((refused.heard, refused.outcome), (vec![], Err(HelloError::WrongNetwork)));
        }
    })
    .await;
    door.is_untouched(TRIES, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_another_network_are_told_so_by_their_own_side_over_every_transport_within_a_machine() {
    for door in [Door::at_tls().await, Door::at_unix().await, Door::at(|_| memory()).await] {
        let mut strangers = Vec::new();
        for _ in 0..WORKERS {
            strangers.push(Node::builder(Identity::generate()).network(other_secret()).start().await.unwrap());
        }
        let at = door.address();
        let kind = format!("another secret over {}, by nodes", at.scheme());
        besiege(&kind, move |worker| {
            let (stranger, at) = (strangers[worker].clone(), at.clone());
            async move { assert_eq!(stranger.connect(&at).await, Err(ConnectError::WrongNetwork)) }
        })
        .await;
        door.is_untouched(TRIES, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_proof_is_worth_nothing_even_to_who_has_the_key_of_its_maker() {
    let door = Door::at_tls().await;
    let (member, at) = (Rogue::new(&Identity::generate()), door.address());
    let (hello, _) = door.records(&member).await;
    besiege("a replayed proof over tls", move |_| {
        let (member, at, hello) = (member.clone(), at.clone(), hello.clone());
        async move {
            let Secured { mut stream, .. } = member.dial(&at).await.unwrap();
            stream.write_all(&hello).await.unwrap();
            assert_eq!(rest(&mut stream).await, b"", "not a byte inside TLS");
        }
    })
    .await;
    door.is_untouched(TRIES, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_proof_of_an_acceptor_takes_in_nobody() {
    let door = Door::at_tls().await;
    let (_, reply) = door.records(&Rogue::new(&Identity::generate())).await;
    let members = door.members().await;
    let listens = Rogue::new(&door.identity)
        .listen(move |Secured { mut stream, .. }| {
            let reply = reply.clone();
            async move {
                let hello = rogue::frame(&mut stream).await.unwrap();
                assert!(hello.len() < 400, "nothing but a Hello");
                stream.write_all(&reply).await.unwrap();
                assert_eq!(rest(&mut stream).await, b"", "who has not seen a proof says no more");
            }
        })
        .await;
    // It even has the key of the node that is looked for.
    let at = listens.address.clone().with_node(door.node.id());
    besiege("a replayed proof of an acceptor over tls", move |worker| {
        let (member, at) = (members[worker].clone(), at.clone());
        async move { assert_eq!(member.connect(&at).await, Err(ConnectError::WrongNetwork)) }
    })
    .await;
    listens.treated(TRIES).await;
    door.is_untouched(0, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_thrown_back_at_its_maker_opens_neither_of_its_doors() {
    let door = Door::at_tls().await;
    let members = door.members().await;
    let mut mirrors = Vec::new();
    for member in members.iter() {
        let (mirror, home) = (Rogue::new(&Identity::generate()), member.addresses()[0].clone());
        let dials = mirror.clone();
        mirrors.push(
            mirror
                .listen(move |Secured { mut stream, .. }| {
                    let (dials, home) = (dials.clone(), home.clone());
                    async move {
                        let hello = rogue::frame(&mut stream).await.unwrap();
                        let mut at_home = dials.dial(&home).await.unwrap().stream;
                        at_home.write_all(&hello).await.unwrap();
                        assert_eq!(rest(&mut at_home).await, b"", "its listener says not a byte");
                        stream.write_all(&hello).await.unwrap();
                        assert_eq!(rest(&mut stream).await, b"", "nor does it where it dialled");
                    }
                })
                .await,
        );
    }
    let at: Vec<Address> = mirrors.iter().map(|mirror| mirror.address.clone()).collect();
    let dialling = members.clone();
    besiege("a reflected proof over tls, at both doors of its maker", move |worker| {
        let (member, at) = (dialling[worker].clone(), at[worker].clone());
        async move { assert_eq!(member.connect(&at).await, Err(ConnectError::WrongNetwork)) }
    })
    .await;
    for (member, mirror) in members.iter().zip(mirrors) {
        mirror.treated(TRIES / WORKERS as u64).await;
        let counters = member.status().counters;
        assert_eq!(counters["peerage_admissions_of_strangers_total"], TRIES / WORKERS as u64);
        assert_eq!(counters["peerage_admissions_total"], 0);
    }
}

/// Ends the TLS of whoever comes with his own key, and carries what is inside on to the door, and back.
async fn man_in_the_middle(door: &Door) -> (NodeId, Listens) {
    let (man, behind) = (Rogue::new(&Identity::generate()), door.address());
    let id = man.id();
    let dials = man.clone();
    let listens = man
        .listen(move |Secured { mut stream, .. }| {
            let (dials, behind) = (dials.clone(), behind.clone());
            async move {
                let hello = rogue::frame(&mut stream).await.unwrap();
                let mut onward = dials.dial(&behind).await.unwrap().stream;
                onward.write_all(&hello).await.unwrap();
                assert_eq!(rest(&mut onward).await, b"", "nothing to carry back");
                stream.shutdown().await.unwrap();
                assert_eq!(rest(&mut stream).await, b"", "nothing follows the Hello");
            }
        })
        .await;
    (id, listens)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_who_ends_tls_with_a_key_of_his_own_carries_nobody_in() {
    let door = Door::at_tls().await;
    let members = door.members().await;
    let (_, listens) = man_in_the_middle(&door).await;
    let at = listens.address.clone();
    besiege("a man in the middle of tls", move |worker| {
        let (member, at) = (members[worker].clone(), at.clone());
        async move { assert_eq!(member.connect(&at).await, Err(ConnectError::WrongNetwork)) }
    })
    .await;
    listens.treated(TRIES).await;
    door.is_untouched(TRIES, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_man_in_the_middle_is_named_by_his_key_where_a_node_was_looked_for() {
    let door = Door::at_tls().await;
    let members = door.members().await;
    let (found, listens) = man_in_the_middle(&door).await;
    let (expected, at) = (door.node.id(), listens.address.clone().with_node(door.node.id()));
    besiege("a man in the middle of tls, with an id in the address", move |worker| {
        let (member, at) = (members[worker].clone(), at.clone());
        async move { assert_eq!(member.connect(&at).await, Err(ConnectError::IdentityMismatch { expected, found })) }
    })
    .await;
    // The dialler ends the handshake of TLS: nothing was said inside it.
    listens.treated(0).await;
    door.is_untouched(0, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_under_another_key_than_the_one_looked_for_is_not_linked_with() {
    for door in [Door::at_tls().await, Door::at_unix().await, Door::at(|_| memory()).await] {
        let (members, found) = (door.members().await, door.node.id());
        let expected = Identity::generate().id();
        let at = door.address().with_node(expected);
        let kind = format!("a foreign key over {}", at.scheme());
        besiege(&kind, move |worker| {
            let (member, at) = (members[worker].clone(), at.clone());
            async move { assert_eq!(member.connect(&at).await, Err(ConnectError::IdentityMismatch { expected, found })) }
        })
        .await;
        assert_eq!(door.counter("peerage_admissions_total"), 0);
    }
}

/// Says that it is one node and signs with the key of another.
#[derive(Debug)]
struct Impostor {
    victim: NodeId,
    own: Identity,
}

impl Signer for Impostor {
    fn id(&self) -> NodeId {
        self.victim
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.own.sign(message)
    }
}

fn impostor() -> Arc<Impostor> {
    Arc::new(Impostor { victim: Identity::generate().id(), own: Identity::generate() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_takes_the_id_of_another_over_tls_is_a_stranger() {
    let door = Door::at_tls().await;
    let (thief, at, network) = (Rogue::new(&Identity::generate()), door.address(), door.place.network.clone());
    besiege("a foreign id with the right secret over tls", move |_| {
        let (thief, at, network) = (thief.clone(), at.clone(), network.clone());
        async move {
            let Secured { mut stream, binding } = thief.dial(&at).await.unwrap();
            let config = Config { signer: impostor(), ..thief.config(Side::Dialler, &network, binding) };
            let refused = shake(&mut stream, config).await;
            assert_eq!((refused.heard, refused.outcome), (vec![], Err(HelloError::WrongNetwork)));
        }
    })
    .await;
    door.is_untouched(TRIES, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_unix_socket_nobody_without_secret_key_and_this_connection_hears_more_than_a_nonce() {
    let door = Door::at_unix().await;
    let (path, network) = (door.address().path().unwrap().to_owned(), door.place.network.clone());
    let member = Rogue::new(&Identity::generate());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let admitted = shake(&mut stream, member.config(Side::Dialler, &network, Binding::Local)).await;
    let preamble = rogue::first_frame(&admitted.heard).len();
    assert!(admitted.outcome.is_ok() && preamble < 100, "{admitted:?}");
    drop(stream);

    let (at, by) = (path.clone(), member.clone());
    besiege("another secret over unix, by hand", move |_| {
        let (at, by) = (at.clone(), by.clone());
        async move {
            let mut stream = UnixStream::connect(&at).await.unwrap();
            let refused = shake(&mut stream, by.config(Side::Dialler, &other_secret(), Binding::Local)).await;
            assert_eq!((refused.heard.len(), refused.outcome), (preamble, Err(HelloError::WrongNetwork)));
        }
    })
    .await;
    let (at, hello) = (path.clone(), rogue::first_frame(&admitted.said));
    besiege("a replayed proof over unix", move |_| {
        let (at, hello) = (at.clone(), hello.clone());
        async move {
            let mut stream = UnixStream::connect(&at).await.unwrap();
            stream.write_all(&hello).await.unwrap();
            assert_eq!(rest(&mut stream).await.len(), preamble);
        }
    })
    .await;
    besiege("a foreign id with the right secret over unix", move |_| {
        let (at, by, network) = (path.clone(), member.clone(), network.clone());
        async move {
            let mut stream = UnixStream::connect(&at).await.unwrap();
            let config = Config { signer: impostor(), ..by.config(Side::Dialler, &network, Binding::Local) };
            assert_eq!(shake(&mut stream, config).await.heard.len(), preamble);
        }
    })
    .await;
    // Who has the secret and lies about its id is no stranger, but a member that misbehaves.
    door.is_untouched(2 * TRIES, 1).await;
}

#[tokio::test]
async fn members_without_a_common_version_are_told_which_ones_there_are() {
    let door = Door::at_tls().await;
    let newer = Versions::new(7, 9).unwrap();
    let (member, network) = (Rogue::new(&Identity::generate()), door.place.network.clone());
    let Secured { mut stream, binding } = member.dial(&door.address()).await.unwrap();
    let config = Config { versions: newer, ..member.config(Side::Dialler, &network, binding) };
    let refused = soon(shake(&mut stream, config)).await.outcome.unwrap_err();
    assert!(matches!(refused, HelloError::Incompatible { ours, .. } if ours == newer), "{refused:?}");

    let acceptor = member.clone();
    let listens = member
        .listen(move |Secured { mut stream, binding }| {
            let config = Config { versions: newer, ..acceptor.config(Side::Acceptor, &network, binding) };
            async move { assert!(shake(&mut stream, config).await.outcome.is_err()) }
        })
        .await;
    let told = soon(door.node.connect(&listens.address)).await.unwrap_err();
    assert_eq!((told.outcome().name(), &*told.why()), ("incompatible", "incompatible"));
    let ConnectError::Incompatible { ours, theirs } = &told else { panic!("{told:?}") };
    assert_eq!((*ours, *theirs), (Some(Versions::SPOKEN), Some(newer)));
    assert!(told.to_string().contains("update the older node") && told.to_string().contains(&newer.to_string()));
}

/// Carries bytes between whoever comes and the door, and keeps a copy of those that went each way.
async fn wiretap(door: &Address) -> (Address, Arc<[Mutex<Vec<u8>>; 2]>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, door) = (Address::tls(listener.local_addr().unwrap()), door.clone());
    let copies: Arc<[Mutex<Vec<u8>>; 2]> = Arc::default();
    let kept = copies.clone();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = rogue::socket(&door).await.unwrap();
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        tokio::join!(carry(&mut near_in, &mut far_out, &kept[0]), carry(&mut far_in, &mut near_out, &kept[1]));
    });
    (at, copies, task)
}

async fn carry(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, copy: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        copy.lock().unwrap().extend_from_slice(&buffer[..read]);
        to.write_all(&buffer[..read]).await.unwrap();
    }
}

#[tokio::test]
async fn who_taps_the_wire_gets_records_of_tls_and_of_the_nodes_not_even_their_ids() {
    let door = Door::at_tls().await;
    let (at, copies, _task) = wiretap(&door.address()).await;
    let member = door.place.node("a-name-to-look-for").start().await.unwrap();
    assert_eq!(soon(member.connect(&at)).await, Ok(door.node.id()));
    let said = "a-word-to-look-for";
    let back: String = soon(member.call("peerage/pass_through").peer(door.node.id()).arg(&said)).await.unwrap();
    assert_eq!(back, said);
    for copy in copies.iter() {
        let copy = copy.lock().unwrap();
        let mut records = &copy[..];
        while let [20..=23, 3, 1..=3, high, low, rest @ ..] = records {
            records = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
        }
        assert_eq!(records, b"", "whole records and nothing else");
        let (dialler, acceptor) = (member.id(), door.node.id());
        for word in [said.as_bytes(), b"a-name-to-look-for", dialler.as_bytes(), acceptor.as_bytes()] {
            assert!(copy.len() > 500 && !copy.windows(word.len()).any(|part| part == word));
        }
    }
}
