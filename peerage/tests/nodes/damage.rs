//! Two nodes with somebody between them who damages compressed contents: a matter of one call, and the end of compression.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use peerage::node::Form;
use peerage::outcome::Refused;
use peerage::{Address, CallError, Encoding, Node};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::place::{Place, address, soon, until};

#[tokio::test]
async fn a_frame_that_does_not_decompress_leads_to_renegotiation_to_none_not_to_the_loss_of_the_link() {
    for kind in [REQUEST, RESULT] {
        let place = Place::new();
        let (a, b, between) = compressed_pair(&place).await;
        assert_eq!(call(&a, &b).await, Ok(()));

        between.damages_next(kind);
        let callers: Vec<_> = (0..32)
            .map(|_| {
                let (a, b) = (a.clone(), b.clone());
                tokio::spawn(async move { call(&a, &b).await })
            })
            .collect();
        let mut failed = Vec::new();
        for caller in callers {
            failed.extend(soon(caller).await.unwrap().err());
        }
        assert_eq!(failed.len(), 1, "one block was damaged, one call fails: {failed:?}");
        match (&failed[0], kind) {
            (CallError::Refused { why: Refused::BadRequest(why) }, REQUEST) => {
                assert!(why.contains("decompress"), "{why}")
            }
            (CallError::Protocol { why }, RESULT) => assert!(why.contains("decompress"), "{why}"),
            (other, _) => panic!("{other:?}"),
        }

        until(|| [&a, &b].iter().all(|node| node.status().links[0].compression.is_none())).await;
        assert_eq!(call(&a, &b).await, Ok(()));
        let plain = Form::plain(Encoding::MsgPack);
        for (node, peer) in [(&a, &b), (&b, &a)] {
            let form = soon(node.propose(peer.id(), Form::COMPRESSED)).await;
            assert_eq!(form, Ok(plain), "an end that was sent rubbish is not talked into it again");
        }
        let counted = |node: &Node, name: &str| node.status().counters[name];
        let (reader, other) = if kind == REQUEST { (&b, &a) } else { (&a, &b) };
        assert_eq!(counted(reader, "peerage_link_bad_blocks_total"), 1);
        assert_eq!(counted(other, "peerage_link_bad_blocks_total"), 0);
        for node in [&a, &b] {
            let ended = ["lost", "closed", "misbehaved", "silent"]
                .map(|how| counted(node, &format!("peerage_links_{how}_total")));
            assert_eq!((ended, node.status().links.len()), ([0; 4], 1), "the link stays");
        }
    }
}

/// Two nodes that agreed on compression, and who is between them.
async fn compressed_pair(place: &Place) -> (Node, Node, Between) {
    let node = |name| place.node(name).dangerously_plaintext().compression(true);
    let b = node("b").listen(address("tcp://127.0.0.1:0")).start().await.unwrap();
    let between = Between::new(&b.addresses()[0]).await;
    let a = node("a").start().await.unwrap();
    assert_eq!(soon(a.connect(&between.address)).await, Ok(b.id()));
    until(|| [&a, &b].iter().all(|node| node.status().links.first().is_some_and(|link| link.compression.is_some())))
        .await;
    (a, b, between)
}

/// A call whose content and answer are compressed where that was agreed on.
async fn call(a: &Node, b: &Node) -> Result<(), CallError> {
    let content = "what is said again and again ".repeat(100);
    let back: String = soon(a.call("peerage/pass_through").peer(b.id()).arg(&content)).await?;
    assert_eq!(back, content);
    Ok(())
}

/// Passes frames on between two nodes, over a transport that does not protect them.
struct Between {
    address: Address,
    /// The kind of which the next frame is to be damaged, or none.
    damages: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Between {
    async fn new(to: &Address) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::tcp(listener.local_addr().unwrap());
        let to = (to.host().unwrap().ip().unwrap(), to.port().unwrap());
        let damages = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let wish = damages.clone();
        tasks.spawn(async move {
            let (dialler, _) = listener.accept().await.unwrap();
            let acceptor = TcpStream::connect(to).await.unwrap();
            let ((from_dialler, to_dialler), (from_acceptor, to_acceptor)) =
                (dialler.into_split(), acceptor.into_split());
            tokio::join!(pass_on(from_dialler, to_acceptor, &wish), pass_on(from_acceptor, to_dialler, &wish));
        });
        Between { address, damages, _tasks: tasks }
    }

    fn damages_next(&self, kind: u64) {
        self.damages.store(kind, Ordering::SeqCst);
    }
}

/// Passes frames on until one side ends.
async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, damages: &AtomicU64) {
    while let Ok(length) = from.read_u32().await {
        let mut body = vec![0; length as usize];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        let triple = Encoding::MsgPack.split(&body).unwrap();
        let (kind, content) = (triple.kind, triple.content);
        if kind >= REQUEST && damages.compare_exchange(kind, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            // Behind the head of the bytes: the size of what is inside.
            body[content.start + 5] ^= 1;
        }
        if to.write_all(&[&length.to_be_bytes()[..], &body].concat()).await.is_err() {
            return;
        }
    }
}

/// Kinds of frames with a compressed content.
const REQUEST: u64 = 128;
const RESULT: u64 = 129;
