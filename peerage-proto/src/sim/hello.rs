//! One end of a handshake against a peer that says whatever the input says.
//!
//! The peer may be a stranger that sends the input as it is, an honest one whose bytes are changed on the way, or a member
//! that proves itself and then goes on with the input. Whatever it does: without the honest proof among the bytes nothing is
//! admitted and nothing said, nothing follows the end, and the pieces in which bytes arrive make no difference.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::{Key, epoch};
use crate::codec::{Encoding, Payload};
use crate::frame::Side;
use crate::hello::{
    Binding, Config, Established, Handshake, HelloError, Input, Introduction, NetworkKey, Output, Refusal,
};
use crate::id::Epoch;
use crate::keys::Signer;
use crate::limits;

/// Runs the handshake of the input, and reads the same bytes as an introduction.
pub(super) fn run(input: &[u8]) {
    introduction(input);
    let [choice, pieces, rest @ ..] = input else { return };
    let scene = Scene::of(*choice);
    let honest = &HONEST[usize::from(*choice) % HONEST.len()];
    let stream = scene.stream(&honest.frames, rest);
    let whole = scene.run(&stream, |segment| segment.len());
    for piece in [1, 1 + usize::from(pieces % 64)] {
        assert_eq!(scene.run(&stream, |_| piece), whole, "in pieces of {piece}");
    }
    if let (Peer::Honest, Answer::Admit) = (scene.peer, scene.answer) {
        let (_, behind) = whole.admitted.as_ref().expect("an honest peer is admitted");
        assert_eq!(behind, rest, "what follows the last word belongs to the link");
    }
    let arrived = stream.concat();
    let proof_is_there = arrived.windows(honest.proof.len()).any(|window| window == honest.proof);
    if whole.asked.is_some() {
        assert!(proof_is_there, "nobody is asked about a peer without a proof");
    } else {
        assert_eq!(whole.admitted, None, "nobody is admitted unasked");
        // Its Hello names what the Preamble says, if there comes one.
        let hello_varies = honest.frames.len() == 3 && scene.kind.is_multiple_of(2);
        let only_first_words = whole.said == honest.first_words;
        let only_hello = whole.said.is_empty() || whole.said.len() == honest.first_words.len();
        assert!(only_first_words || (hello_varies && only_hello), "who has no proof is not spoken to");
    }
}

/// What one end does in one run.
#[derive(Clone, Copy)]
struct Scene {
    /// Which end is run, and over what.
    kind: u8,
    /// What becomes of an honest peer's bytes.
    peer: Peer,
    /// What the node says when it is asked.
    answer: Answer,
}

#[derive(Clone, Copy)]
enum Peer {
    /// Knows nothing: sends the input.
    Stranger,
    /// Is honest, but bytes are changed on the way: at each two of the input, by the third.
    Disturbed,
    /// Proves itself and goes on with the input.
    Member,
    /// Is honest to the end; the input follows its last word.
    Honest,
}

#[derive(Clone, Copy)]
enum Answer {
    Admit,
    Refuse,
    Nothing,
}

/// Everything that an end said and decided.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    said: Vec<u8>,
    asked: Option<Established>,
    /// With all bytes that were left for the link.
    admitted: Option<(Established, Vec<u8>)>,
    failed: Option<HelloError>,
}

impl Scene {
    fn of(choice: u8) -> Scene {
        let rest = choice / HONEST.len() as u8;
        Scene {
            kind: choice % HONEST.len() as u8,
            peer: [Peer::Stranger, Peer::Disturbed, Peer::Member, Peer::Honest][usize::from(rest % 4)],
            answer: [Answer::Admit, Answer::Refuse, Answer::Nothing][usize::from(rest / 4 % 3)],
        }
    }

    /// What the peer sends, in segments: the node answers between them.
    fn stream(&self, honest: &[Vec<u8>], input: &[u8]) -> Vec<Vec<u8>> {
        let without_admitted = &honest[..honest.len() - 1];
        match self.peer {
            Peer::Stranger => vec![input.to_vec()],
            Peer::Member => [without_admitted, &[input.to_vec()]].concat(),
            Peer::Honest => [honest, &[input.to_vec()]].concat(),
            Peer::Disturbed => {
                let mut frames = honest.to_vec();
                for change in input.chunks_exact(3) {
                    let frame = &mut frames[usize::from(change[0]) % honest.len()];
                    let at = usize::from(change[1]) * (1 + usize::from(change[0]) / 64) % frame.len();
                    frame[at] ^= change[2];
                }
                frames
            }
        }
    }

    fn run(&self, stream: &[Vec<u8>], piece: impl Fn(&[u8]) -> usize) -> Seen {
        let mut machine = Handshake::new(epoch(), config(self.kind));
        let mut seen = Seen::default();
        seen.feed(&mut machine, Input::Start);
        for segment in stream {
            for bytes in segment.chunks(piece(segment).max(1)) {
                match &mut seen.admitted {
                    Some((_, behind)) => behind.extend_from_slice(bytes),
                    None => seen.feed(&mut machine, Input::Received(bytes)),
                }
            }
            match self.answer {
                Answer::Admit => seen.feed(&mut machine, Input::Admit),
                Answer::Refuse => seen.feed(&mut machine, Input::Refuse(Refusal::Draining)),
                Answer::Nothing => {}
            }
        }
        seen.end(&mut machine);
        seen
    }
}

impl Seen {
    fn feed(&mut self, machine: &mut Handshake, input: Input<'_>) {
        let was_over = machine.is_over();
        for order in machine.handle(epoch(), input) {
            assert!(!was_over, "nothing follows the end: {order:?}");
            self.note(order);
        }
        assert_eq!(machine.next_timeout().is_none(), machine.is_over(), "a timer until the end and no longer");
    }

    /// Lets the time run out.
    fn end(&mut self, machine: &mut Handshake) {
        let Some(at) = machine.next_timeout() else { return };
        assert!(at <= epoch() + limits::HANDSHAKE_TIME_DEFAULT);
        let last: Vec<Output> = machine.handle(at, Input::Timeout).collect();
        assert_eq!(last, [Output::Failed(HelloError::TimedOut)]);
        assert!(machine.handle(at + Duration::from_secs(1), Input::Received(b"more")).next().is_none());
    }

    fn note(&mut self, order: Output) {
        assert!(self.failed.is_none() && self.admitted.is_none(), "the end is the last: {order:?}");
        match order {
            Output::Send(bytes) => self.said.extend_from_slice(&bytes),
            Output::Proved(established) => assert!(self.asked.replace(established).is_none(), "asked once"),
            Output::Admitted { established, behind } => {
                assert_eq!(self.asked.as_ref(), Some(&established), "what was asked about is what is admitted");
                self.admitted = Some((established, behind.to_vec()));
            }
            Output::Failed(why) => self.failed = Some(why),
        }
    }
}

/// What an honest peer says to the machine of one kind.
struct Honest {
    /// Preamble if there is one, Hello, Admitted.
    frames: Vec<Vec<u8>>,
    proof: Vec<u8>,
    /// What the machine says before it has heard anything that it can trust.
    first_words: Vec<u8>,
}

/// For each kind: the dialling and the accepting end over each kind of transport.
static HONEST: LazyLock<Vec<Honest>> = LazyLock::new(|| (0..6).map(Honest::towards).collect());

impl Honest {
    fn towards(kind: u8) -> Honest {
        let mut machines = [Handshake::new(epoch(), config(kind)), Handshake::new(epoch(), config(kind ^ 1))];
        let (mut frames, mut said) = (Vec::new(), Vec::new());
        let mut inputs = vec![(0, None), (1, None)];
        let mut first_words = None;
        while let Some((end, bytes)) = inputs.pop() {
            let input = bytes.as_deref().map_or(Input::Start, Input::Received);
            let mut orders: Vec<Output> = machines[end].handle(epoch(), input).collect();
            if machines[end].is_proved() {
                if end == 0 {
                    // The dialler has said its Hello by now, the acceptor only its Preamble.
                    first_words.get_or_insert_with(|| said.clone());
                }
                orders.extend(machines[end].handle(epoch(), Input::Admit));
            }
            for order in orders {
                let Output::Send(bytes) = order else { continue };
                if end == 0 {
                    said.extend_from_slice(&bytes)
                } else {
                    frames.push(bytes.clone())
                }
                inputs.insert(0, (1 - end, Some(bytes)));
            }
        }
        assert!(machines.iter().all(Handshake::is_over), "both admit");
        let hello = &frames[frames.len() - 2];
        let content: (serde::de::IgnoredAny, [u8; 32], serde::de::IgnoredAny) = content_of(hello);
        Honest { proof: content.1.to_vec(), first_words: first_words.expect("asked"), frames }
    }
}

fn content_of<T: serde::de::DeserializeOwned>(frame: &[u8]) -> T {
    let body = &frame[4..];
    let triple = Encoding::MsgPack.split(body).expect("one of ours");
    let content = bytes::Bytes::copy_from_slice(&body[triple.content]);
    Payload::from_parts(Encoding::MsgPack, content).decode().expect("one of ours")
}

/// The dialling (even) or accepting (odd) end over TLS, inside the host, in plain text.
fn config(kind: u8) -> Config {
    static KEYS: LazyLock<[Arc<Key>; 2]> = LazyLock::new(|| [1, 2].map(|node| Arc::new(Key::of(node))));
    static LAB: LazyLock<NetworkKey> =
        LazyLock::new(|| NetworkKey::new("lab", &[0x5e; 32]).expect("a name and enough bytes"));
    let own = usize::from(kind % 2);
    let binding = match kind / 2 {
        0 => Binding::Exporter { value: [0xe7; 32], peer: KEYS[1 - own].id() },
        1 => Binding::Local,
        _ => Binding::Plaintext,
    };
    let side = [Side::Dialler, Side::Acceptor][own];
    Config::new(side, KEYS[own].clone(), LAB.clone(), Epoch::new(1, [kind; 16]), [0xa0 + kind % 2; 32], binding)
}

/// What is read as an introduction is the same after it was written and read again.
fn introduction(bytes: &[u8]) {
    let content = Payload::from_parts(Encoding::MsgPack, bytes::Bytes::copy_from_slice(bytes));
    let Ok(read) = Introduction::decode(&content) else { return };
    let again = read.encode().expect("what could be read can be written");
    assert_eq!(Introduction::decode(&again), Ok(read));
}
