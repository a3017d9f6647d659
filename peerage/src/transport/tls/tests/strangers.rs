//! Who does not get in: each stranger, what the end that can know is told, and what the stranger gets to see.

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::rogue::{self, NODE, Shown, Signs};
use super::*;

/// A stranger dials a node with these parts. Gives why the node did not accept it.
async fn node_refuses(config: rustls::ClientConfig) -> HandshakeFailure {
    let meeting = Meeting::at(suite::tls(), GateLimits::for_node()).await;
    let stranger = rogue::handshake_as_client(meeting.socket().await, config).await;
    // A dialler is done before the listener has judged it, and then learns of it when it reads.
    if let Ok(mut stream) = stranger {
        assert!(stream.read_u8().await.is_err(), "a stranger is told nothing but that it is over");
    }
    meeting.failure().await
}

/// A node dials a stranger with these parts. Gives the node's error.
async fn node_is_not_taken_in_by(config: rustls::ServerConfig) -> DialError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(listener.local_addr().unwrap());
    let stranger = async {
        let (socket, _) = listener.accept().await.unwrap();
        rogue::handshake_as_server(socket, config).await
    };
    let (node, _) = tokio::join!(somebody_dials(&address, None), stranger);
    node.unwrap_err()
}

/// A node of no further interest dials.
async fn somebody_dials(address: &Address, expected: Option<NodeId>) -> Result<Connection, DialError> {
    dial_node(address, &Identity::generate(), expected, PATIENCE, None).await
}

fn unfit(why: &HandshakeFailure) -> bool {
    matches!(why, HandshakeFailure::UnfitKey { .. })
}

/// The signature of the handshake was not made with the key that was shown.
fn unsigned(why: &HandshakeFailure) -> bool {
    matches!(why, HandshakeFailure::UnfitKey { why: "the handshake was not signed with it" })
}

fn of_dialling(why: DialError) -> HandshakeFailure {
    let DialError::Handshake { why, .. } = why else { panic!("{why}") };
    why
}

#[tokio::test]
async fn the_rogue_itself_is_let_in_when_it_is_honest() {
    let mut meeting = Meeting::at(suite::tls(), GateLimits::for_node()).await;
    let identity = Identity::generate();
    let dialling = rogue::handshake_as_client(meeting.socket().await, rogue::client(Shown::honest(&identity), NODE));
    let (stranger, accepted) = tokio::join!(dialling, meeting.listening.accept());
    assert!(stranger.is_ok());
    assert_eq!(accepted.binding.unwrap().peer, identity.id());
}

#[tokio::test]
async fn a_key_without_its_secret_is_refused_at_both_ends() {
    let (victim, thief) = (Identity::generate(), Identity::generate());
    let why = node_refuses(rogue::client(Shown::foreign(&victim, &thief), NODE)).await;
    assert!(unsigned(&why), "{why}");
    let why = of_dialling(node_is_not_taken_in_by(rogue::server(Shown::foreign(&victim, &thief), NODE)).await);
    assert!(unsigned(&why), "{why}");
}

#[tokio::test]
async fn a_key_without_its_secret_is_not_found_where_another_was_expected() {
    // Else anybody could make others believe that the victim sits at some address.
    let (victim, thief) = (Identity::generate(), Identity::generate());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(listener.local_addr().unwrap());
    let stranger = async {
        let (socket, _) = listener.accept().await.unwrap();
        rogue::handshake_as_server(socket, rogue::server(Shown::foreign(&victim, &thief), NODE)).await
    };
    let expected = Some(Identity::generate().id());
    let (node, _) = tokio::join!(somebody_dials(&address, expected), stranger);
    let why = of_dialling(node.unwrap_err());
    assert!(unsigned(&why), "{why}");
}

#[tokio::test]
async fn no_byte_of_a_signature_can_be_changed() {
    for byte in 0..64 {
        let identity = Identity::generate();
        let flawed =
            || Shown { signer: Signs::WithAFlaw(identity.clone(), byte, 1 << (byte % 8)), ..Shown::honest(&identity) };
        let why = node_refuses(rogue::client(flawed(), NODE)).await;
        assert!(unsigned(&why), "byte {byte}: {why}");
        let why = of_dialling(node_is_not_taken_in_by(rogue::server(flawed(), NODE)).await);
        assert!(unsigned(&why), "byte {byte}: {why}");
    }
}

#[tokio::test]
async fn a_key_for_which_anybody_can_sign_is_refused_at_both_ends() {
    // The neutral point, with the signature R = neutral, S = 0, which fits it whatever the message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let shown = || Shown { spki: rogue::spki(&neutral), signer: Signs::Always(signature) };
    let why = node_refuses(rogue::client(shown(), NODE)).await;
    assert!(unfit(&why), "{why}");
    let why = of_dialling(node_is_not_taken_in_by(rogue::server(shown(), NODE)).await);
    assert!(unfit(&why), "{why}");
}

#[tokio::test]
async fn a_key_of_another_kind_is_refused_at_both_ends() {
    let why = node_refuses(rogue::client(Shown::of_another_kind(), NODE)).await;
    assert!(unfit(&why), "{why}");
    let why = of_dialling(node_is_not_taken_in_by(rogue::server(Shown::of_another_kind(), NODE)).await);
    assert!(unfit(&why), "{why}");
}

#[tokio::test]
async fn a_key_in_another_form_is_refused_at_both_ends() {
    let identity = Identity::generate();
    let longer = || {
        let mut shown = Shown::honest(&identity);
        shown.spki.push(0);
        shown
    };
    let why = node_refuses(rogue::client(longer(), NODE)).await;
    assert!(unfit(&why), "{why}");
    let why = of_dialling(node_is_not_taken_in_by(rogue::server(longer(), NODE)).await);
    assert!(unfit(&why), "{why}");
}

#[tokio::test]
async fn a_certificate_is_no_key() {
    let why = node_refuses(rogue::client_with_certificates()).await;
    assert!(matches!(why, HandshakeFailure::OtherProof), "{why}");
    // That one knows first, and says what TLS has a word for.
    let why = of_dialling(node_is_not_taken_in_by(rogue::server_with_certificate()).await);
    assert!(matches!(&why, HandshakeFailure::Refused { alert } if alert.contains("no kind of proof")), "{why}");
}

#[tokio::test]
async fn who_speaks_another_protocol_inside_is_refused_at_both_ends() {
    for protocols in [&[][..], &["http/1.1"], &["peerage-channel/1"]] {
        let identity = Identity::generate();
        let why = node_refuses(rogue::client(Shown::honest(&identity), protocols)).await;
        assert!(matches!(why, HandshakeFailure::OtherProtocol { expected: "peerage/1" }), "{protocols:?}: {why}");
        let server = rogue::server(Shown::honest(&identity), protocols);
        let why = of_dialling(node_is_not_taken_in_by(server).await);
        assert!(matches!(why, HandshakeFailure::OtherProtocol { expected: "peerage/1" }), "{protocols:?}: {why}");
    }
}

#[tokio::test]
async fn a_dialler_of_tls_1_2_is_refused_with_the_alert_that_says_so() {
    let meeting = Meeting::at(suite::tls(), GateLimits::for_node()).await;
    let mut socket = meeting.socket().await;
    socket.write_all(&client_hello_of_tls_1_2()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let protocol_version = [21, 3, 3, 0, 2, 2, 70];
    assert_eq!(answer, protocol_version);
    let why = meeting.failure().await;
    assert!(matches!(why, HandshakeFailure::OldVersion), "{why}");
}

/// One cipher of TLS 1.2 and no extension but the curve and the signature to use.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 29][..], // groups: X25519
        &[0, 13, 0, 4, 0, 2, 4, 3],      // signatures: ECDSA with P-256 and SHA-256
    ]
    .concat();
    let mut hello = vec![3, 3]; // TLS 1.2
    hello.extend([7; 32]); // random
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]); // no session; ECDHE-ECDSA-AES128-GCM-SHA256; no compression
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend((hello.len() as u16).to_be_bytes());
    handshake.extend(hello);
    let mut record = vec![22, 3, 1];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(handshake);
    record
}

#[tokio::test]
async fn a_listener_without_tls_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(listener.local_addr().unwrap());
    let stranger = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let (node, _socket) = tokio::join!(somebody_dials(&address, None), stranger);
    let why = of_dialling(node.unwrap_err());
    assert!(matches!(why, HandshakeFailure::NotTls) && !why.may_pass(), "{why}");
}

#[tokio::test]
async fn a_listener_that_hangs_up_may_be_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(listener.local_addr().unwrap());
    let stranger = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        // Reads what there is, so that the end is no reset.
        let _ = socket.read(&mut [0; 8192]).await.unwrap();
    };
    let (node, ()) = tokio::join!(somebody_dials(&address, None), stranger);
    let why = of_dialling(node.unwrap_err());
    assert!(matches!(why, HandshakeFailure::Closed) && why.may_pass(), "{why}");
}

#[tokio::test]
async fn a_listener_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(listener.local_addr().unwrap());
    let why = dial_node(&address, &Identity::generate(), None, Duration::from_millis(100), None).await.unwrap_err();
    assert!(matches!(why, DialError::TimedOut { .. }) && why.may_pass(), "{why}");
}

#[tokio::test]
async fn garbage_is_answered_with_an_alert_and_disturbs_nobody() {
    let mut meeting = Meeting::at(suite::tls(), GateLimits::for_node()).await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0xff; 64], &[22, 3, 1, 0xff, 0xff, 1]] {
        let mut socket = meeting.socket().await;
        socket.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        // It may end with a reset, since not everything is read.
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(&[21, 3]), "nothing but a TLS alert: {answer:?}");
        meeting.meet().await;
    }
    assert_eq!(meeting.listening.tally().failed_handshakes(), 4);
}

#[tokio::test]
async fn who_says_nothing_or_speaks_slowly_is_gone_in_time_and_disturbs_nobody() {
    let limits = GateLimits { time: Duration::from_millis(400), ..GateLimits::for_node() };
    let mut meeting = Meeting::at(suite::tls(), limits).await;
    let mut silent = meeting.socket().await;
    let mut slow = meeting.socket().await;
    let hello = client_hello_of_tls_1_2();
    let crawl = async {
        for byte in &hello {
            // Fails once the listener has lost patience, whatever progress was made.
            if slow.write_all(&[*byte]).await.is_err() || slow.try_read(&mut [0]).is_ok() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let (_near, _far) = meeting.meet().await;
    let start = Instant::now();
    tokio::join!(crawl, async { assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0) });
    assert!(start.elapsed() < Duration::from_millis(20 * hello.len() as u64), "no progress extends the time");
    assert_eq!(meeting.failures(2).await, 2);
    assert_eq!(meeting.gate.half_open(), 1, "the node that was accepted and not yet admitted");
}

#[tokio::test]
async fn strangers_beyond_the_limit_make_the_oldest_of_them_give_way() {
    let limits = GateLimits { half_open: 8, ..GateLimits::for_node() };
    let mut meeting = Meeting::at(suite::tls(), limits).await;
    let mut strangers = Vec::new();
    for _ in 0..24 {
        strangers.push(meeting.socket().await);
    }
    let (_near, _far) = meeting.meet().await;
    meeting.failures(17).await;
    assert_eq!(meeting.gate.half_open(), 8);
    let mut oldest = strangers.remove(0);
    assert_eq!(oldest.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_man_in_the_middle_shares_no_value_between_his_two_sides() {
    let mut meeting = Meeting::at(suite::tls(), GateLimits::for_node()).await;
    let (man, dialler) = (Identity::generate(), Identity::generate());
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(between.local_addr().unwrap());
    let onward = meeting.socket().await;
    let relay = async {
        let (socket, _) = between.accept().await.unwrap();
        let inward = rogue::handshake_as_server(socket, rogue::server(Shown::honest(&man), NODE)).await.ok().unwrap();
        let outward = rogue::handshake_as_client(onward, rogue::client(Shown::honest(&man), NODE)).await.ok().unwrap();
        (inward, outward)
    };
    let (near, far, _sides) =
        tokio::join!(dial_node(&address, &dialler, None, PATIENCE, None), meeting.listening.accept(), relay);
    let (near, far) = (near.unwrap().binding.unwrap(), far.binding.unwrap());
    assert_ne!(near.value, far.value);
    assert_eq!([near.peer, far.peer], [man.id(); 2], "each side sees his key, and nobody else's");
}

#[tokio::test]
async fn a_man_in_the_middle_is_found_out_where_the_node_is_known() {
    let (listener, man) = (Identity::generate(), Identity::generate());
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(between.local_addr().unwrap()).with_node(listener.id());
    let relay = async {
        let (socket, _) = between.accept().await.unwrap();
        rogue::handshake_as_server(socket, rogue::server(Shown::honest(&man), NODE)).await
    };
    let (near, inward) = tokio::join!(somebody_dials(&address, None), relay);
    let why = near.unwrap_err();
    assert!(matches!(why, DialError::IdentityMismatch { found, .. } if found == man.id()), "{why}");
    assert!(inward.is_err(), "the dialler ends the handshake before it has shown its own key");
}

#[tokio::test]
async fn strangers_see_nothing_but_tls() {
    // Whatever a stranger sends, what comes back are records of TLS.
    let meeting = Meeting::at(suite::tls(), GateLimits::for_node()).await;
    let honest = {
        let config = Arc::new(rogue::client(Shown::honest(&Identity::generate()), &["http/1.1"]));
        let mut tls = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        tls.write_tls(&mut hello).unwrap();
        hello
    };
    for cut in [honest.len(), honest.len() - 1, honest.len() / 2] {
        let mut socket = meeting.socket().await;
        let mut said = honest[..cut].to_vec();
        said.extend([0; 600]);
        socket.write_all(&said).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_millis(300), socket.read_to_end(&mut answer)).await;
        assert!(is_tls(&answer), "{answer:?}");
    }
}

/// Whether these are whole records of TLS and nothing else.
fn is_tls(mut bytes: &[u8]) -> bool {
    while let [20..=23, 3, 1..=3, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(after) = rest.get(length..) else { return false };
        bytes = after;
    }
    bytes.is_empty()
}

impl Meeting {
    /// A stranger's connection to the node.
    async fn socket(&self) -> TcpStream {
        let address = self.address();
        TcpStream::connect((address.host().unwrap().ip().unwrap(), address.port().unwrap())).await.unwrap()
    }

    /// Why the last stranger was not let in, once there is one.
    async fn failure(&self) -> HandshakeFailure {
        self.failures(1).await;
        self.listening.tally().last_failure().unwrap()
    }

    /// Waits for so many strangers who were not let in.
    async fn failures(&self, count: u64) -> u64 {
        let tally = self.listening.tally();
        let reached = async {
            while tally.failed_handshakes() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, reached).await.expect("so many strangers were refused");
        tally.failed_handshakes()
    }
}
