//! What every transport keeps to. Adding a transport to the suite is adding a word, and a function that gives it a
//! free address.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};

use super::*;

macro_rules! transport_suite {
    ($($transport:ident),+) => { $(
        mod $transport {
            transport_suite!(@tests $transport:
                bytes_arrive_in_the_order_written,
                both_directions_work_at_once,
                an_end_that_has_finished_writing_can_still_read,
                large_payloads_pass_in_both_directions_at_once,
                a_writer_waits_for_a_reader_that_does_not_read,
                a_dropped_end_is_noticed_at_the_other,
                what_was_written_before_an_end_was_dropped_still_arrives,
                a_cancelled_accept_loses_no_connection,
                a_cancelled_read_loses_no_bytes,
                connections_are_accepted_in_any_number,
                accepting_goes_on_after_a_client_that_vanishes,
                nobody_listens_before_and_after,
                an_address_in_use_is_refused_with_a_remedy,
                a_dropped_listener_frees_its_address_at_once,
                a_caller_can_connect_again_after_the_listener_was_away,
                accepted_connections_outlive_their_listener,
                both_ends_know_their_addresses
            );
        }
    )+ };
    (@tests $transport:ident: $($test:ident),+) => { $(
        #[tokio::test]
        async fn $test() {
            super::super::$test(&super::super::$transport()).await;
        }
    )+ };
}

mod of {
    transport_suite!(tcp, tls, quic, unix, memory);
}

/// A free address to listen at.
pub(super) struct Place {
    pub(super) address: Address,
    /// How connections there are secured, at both ends.
    pub(super) tls: Option<Tls>,
    /// Where the socket file goes; removed when dropped.
    pub(super) directory: Option<TempDir>,
}

impl Place {
    fn new(address: Address) -> Place {
        Place { address, tls: None, directory: None }
    }

    pub(super) async fn dial(&self, address: &Address) -> Result<Connection, DialError> {
        dial(address, self.tls.as_ref(), PATIENCE).await
    }

    pub(super) async fn listen(&self, address: &Address) -> Result<Listening, BindError> {
        listen(address, self.tls.as_ref()).await
    }

    /// Two ends of one connection.
    pub(super) async fn connect(&self, listening: &mut Listening) -> (Connection, Connection) {
        let address = listening.local_address().clone();
        let (dialled, accepted) = tokio::join!(self.dial(&address), listening.accept());
        (dialled.unwrap(), accepted)
    }
}

/// Port 0 at a loopback address of this test's own, so that no other socket on this machine takes a port of ours while
/// it is meant to be free.
pub(super) fn tcp() -> Place {
    Place::new(Address::tcp(free_host()))
}

pub(super) fn tls() -> Place {
    Place { tls: Some(Identity::generate().into()), ..Place::new(Address::tls(free_host())) }
}

pub(super) fn quic() -> Place {
    Place { tls: Some(Identity::generate().into()), ..Place::new(Address::quic(free_host())) }
}

fn free_host() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let number = (NEXT.fetch_add(1, Ordering::Relaxed) % 100) as u8;
    let host = std::net::Ipv4Addr::new(127, 100 + number, high, low.clamp(1, 254));
    (host, 0).into()
}

pub(super) fn unix() -> Place {
    let directory = TempDir::new().unwrap();
    let address = Address::unix(directory.path().join("a.sock")).unwrap();
    Place { directory: Some(directory), ..Place::new(address) }
}

pub(super) fn memory() -> Place {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("suite-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Place::new(Address::memory(&name).unwrap())
}

/// More than any test takes on a slow machine: only a hang runs into it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

type Stream = Box<dyn ByteStream>;

async fn pair(place: &Place) -> (Stream, Stream) {
    let mut listening = place.listen(&place.address).await.unwrap();
    let (near, far) = place.connect(&mut listening).await;
    (near.stream, far.stream)
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

async fn bytes_arrive_in_the_order_written(place: &Place) {
    let (mut near, mut far) = pair(place).await;
    let writer = async {
        for n in 0..10_000_u32 {
            near.write_all(&n.to_be_bytes()).await.unwrap();
        }
        near.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(writer, read_all(&mut far));
    let expected: Vec<u8> = (0..10_000_u32).flat_map(u32::to_be_bytes).collect();
    assert!(read == expected);
}

async fn both_directions_work_at_once(place: &Place) {
    async fn talk(stream: Stream, mine: u32, theirs: u32) {
        let (mut reader, mut writer) = split(stream);
        let write = async {
            for n in 0..1_000 {
                writer.write_u32(mine + n).await.unwrap();
            }
        };
        let read = async {
            for n in 0..1_000 {
                assert_eq!(reader.read_u32().await.unwrap(), theirs + n);
            }
        };
        tokio::join!(write, read);
    }
    let (near, far) = pair(place).await;
    tokio::join!(talk(near, 10_000, 20_000), talk(far, 20_000, 10_000));
}

async fn an_end_that_has_finished_writing_can_still_read(place: &Place) {
    let (mut near, mut far) = pair(place).await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(read_all(&mut far).await, b"question");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(read_all(&mut near).await, b"answer");
}

async fn large_payloads_pass_in_both_directions_at_once(place: &Place) {
    const LARGE: usize = 8 << 20;
    async fn write(mut writer: WriteHalf<Stream>, payload: &[u8]) {
        writer.write_all(payload).await.unwrap();
        writer.shutdown().await.unwrap();
    }
    async fn read(mut reader: ReadHalf<Stream>) -> Vec<u8> {
        read_all(&mut reader).await
    }
    let payload = |step: usize| -> Vec<u8> { (0..LARGE).map(|n| ((n * step) >> 7) as u8).collect() };
    let (question, answer) = (payload(3), payload(5));
    let (near, far) = pair(place).await;
    let ((near_in, near_out), (far_in, far_out)) = (split(near), split(far));
    let ((), (), heard, replied) =
        tokio::join!(write(near_out, &question), write(far_out, &answer), read(far_in), read(near_in));
    assert!(heard == question);
    assert!(replied == answer);
}

async fn a_writer_waits_for_a_reader_that_does_not_read(place: &Place) {
    const BUFFERED_MAX: usize = 32 << 20; // what systems buffer for a loopback stream, generously
    let (mut near, mut far) = pair(place).await;
    let chunk = vec![7; 64 << 10];
    let mut written = 0;
    while let Ok(count) = timeout(Duration::from_millis(200), near.write(&chunk)).await {
        written += count.unwrap();
        assert!(written < BUFFERED_MAX);
    }
    let (rest, read) = tokio::join!(async { near.shutdown().await }, read_all(&mut far));
    rest.unwrap();
    assert_eq!(read.len(), written, "a cancelled write has written nothing");
}

async fn a_dropped_end_is_noticed_at_the_other(place: &Place) {
    let (near, mut far) = pair(place).await;
    drop(near);
    assert_eq!(read_all(&mut far).await, b"");
}

async fn what_was_written_before_an_end_was_dropped_still_arrives(place: &Place) {
    let (mut near, mut far) = pair(place).await;
    near.write_all(&[7; 10_000]).await.unwrap();
    near.flush().await.unwrap();
    drop(near);
    assert_eq!(read_all(&mut far).await, [7; 10_000]);
}

async fn a_cancelled_accept_loses_no_connection(place: &Place) {
    let mut listening = place.listen(&place.address).await.unwrap();
    let address = listening.local_address().clone();
    for n in 0..20 {
        // The wait for a connection is begun and given up again and again while the connection comes in.
        let impatient = async {
            loop {
                tokio::select! {
                    biased;
                    far = listening.accept() => break far,
                    () = tokio::task::yield_now() => {}
                }
            }
        };
        let (near, mut far) = tokio::join!(place.dial(&address), impatient);
        near.unwrap().stream.write_u8(n).await.unwrap();
        assert_eq!(far.stream.read_u8().await.unwrap(), n);
    }
}

async fn a_cancelled_read_loses_no_bytes(place: &Place) {
    let (mut near, mut far) = pair(place).await;
    let (mut read, mut buffer) = (Vec::new(), [0; 100]);
    let writer = async {
        for n in 0..=255 {
            near.write_all(&[n; 10]).await.unwrap();
            tokio::task::yield_now().await;
        }
        near.shutdown().await.unwrap();
    };
    let reader = async {
        loop {
            tokio::select! {
                biased;
                count = far.read(&mut buffer) => match count.unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                },
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::join!(writer, reader);
    let expected: Vec<u8> = (0..=255).flat_map(|n| [n; 10]).collect();
    assert_eq!(read, expected);
}

async fn connections_are_accepted_in_any_number(place: &Place) {
    let mut listening = place.listen(&place.address).await.unwrap();
    let address = listening.local_address().clone();
    let mut dialled = Vec::new();
    for _ in 0..100 {
        // All of them before the first is accepted: they wait in a queue.
        dialled.push(place.dial(&address).await.unwrap());
    }
    for (n, near) in dialled.iter_mut().enumerate() {
        near.stream.write_u32(n as u32).await.unwrap();
        let mut far = listening.accept().await;
        assert_eq!(far.stream.read_u32().await.unwrap(), n as u32);
    }
    assert_eq!(listening.tally().errors(), 0);
}

async fn accepting_goes_on_after_a_client_that_vanishes(place: &Place) {
    let mut listening = place.listen(&place.address).await.unwrap();
    let address = listening.local_address().clone();
    drop(place.dial(&address).await.unwrap());
    let mut gone = listening.accept().await;
    assert_eq!(read_all(&mut gone.stream).await, b"");
    place.connect(&mut listening).await;
}

async fn nobody_listens_before_and_after(place: &Place) {
    let listening = place.listen(&place.address).await.unwrap();
    let address = listening.local_address().clone();
    drop(listening);
    let why = place.dial(&address).await.unwrap_err();
    assert!(matches!(why, DialError::Refused { .. } | DialError::NotFound { .. }), "{why}");
    assert!(why.to_string().starts_with(&format!("nobody listens at {address}")), "{why}");
}

async fn an_address_in_use_is_refused_with_a_remedy(place: &Place) {
    let mut listening = place.listen(&place.address).await.unwrap();
    let address = listening.local_address().clone();
    let why = place.listen(&address).await.unwrap_err();
    assert!(matches!(why, BindError::AddressInUse { .. }), "{why}");
    assert!(why.to_string().starts_with(&format!("{address} is in use: ")), "{why}");
    // Asking did no harm to the one who listens there. (A unix socket was knocked at.)
    if address.scheme() == Scheme::Unix {
        listening.accept().await;
    }
    place.connect(&mut listening).await;
}

async fn a_dropped_listener_frees_its_address_at_once(place: &Place) {
    let mut listening = place.listen(&place.address).await.unwrap();
    let address = listening.local_address().clone();
    for _ in 0..5 {
        let (_near, _far) = place.connect(&mut listening).await;
        drop(listening);
        // While connections made there are still open.
        listening = place.listen(&address).await.unwrap();
    }
}

async fn a_caller_can_connect_again_after_the_listener_was_away(place: &Place) {
    let mut listening = place.listen(&place.address).await.unwrap();
    let address = listening.local_address().clone();
    let (mut near, far) = place.connect(&mut listening).await;
    drop((listening, far));
    assert_eq!(read_all(&mut near.stream).await, b"");
    assert!(place.dial(&address).await.is_err());
    let mut listening = place.listen(&address).await.unwrap();
    let (mut near, mut far) = place.connect(&mut listening).await;
    near.stream.write_u8(1).await.unwrap();
    assert_eq!(far.stream.read_u8().await.unwrap(), 1);
}

async fn accepted_connections_outlive_their_listener(place: &Place) {
    let (mut near, mut far) = pair(place).await; // `pair` has dropped it
    near.write_u8(1).await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), 1);
}

async fn both_ends_know_their_addresses(place: &Place) {
    let options = "codec=json&dialect=plain&services=**";
    let address: Address = format!("{}?{options}", place.address).parse().unwrap();
    let mut listening = place.listen(&address).await.unwrap();
    let listened_at = listening.local_address().clone();
    assert!(listened_at.to_string().ends_with(options), "{listened_at}");
    let (near, far) = place.connect(&mut listening).await;
    assert_eq!(near.remote, listened_at.bare());
    assert_eq!(far.local, listened_at.bare());
    assert_eq!(far.remote, near.local);
}
