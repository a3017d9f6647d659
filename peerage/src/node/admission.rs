//! From a connection to a link: one task for each connection that is not admitted yet.
//!
//! The task moves the bytes of the handshake machine and asks the driver once, when the peer has proved that it belongs to
//! the network. What becomes of it is told to the driver as an [`Arrival`]; a connection that is admitted is handed over
//! with it, so that the driver makes the link in its own turn and no word of the link can come before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use peerage_proto::address::{Address, Scheme};
use peerage_proto::frame::Side;
use peerage_proto::hello::{Binding, Config, Established, Handshake, HelloError, Input, NetworkKey, Output, Refusal};
use peerage_proto::id::{LinkId, NodeId};
use peerage_proto::node::{DialError, DialId};
use peerage_proto::{keys, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::identity::Identity;
use crate::shown::shown;
use crate::transport::{self, Connection, HandshakeFailure};

/// What a connection has come to.
pub(super) enum Arrival {
    /// The peer belongs to the network: the driver decides.
    Proved { link: LinkId, established: Box<Established>, dialled: Option<DialId>, decide: oneshot::Sender<Decision> },
    /// Both ends take it.
    Admitted(Box<Admitted>),
    /// Nothing became of a dial, before the peer proved anything.
    DialFailed { dial: DialId, why: DialError },
    /// Nothing became of it after the peer had proved itself.
    Failed { link: LinkId, why: HelloError },
}

/// A connection that is a link now.
pub(super) struct Admitted {
    pub(super) link: LinkId,
    pub(super) connection: Connection,
    pub(super) established: Established,
    /// What came behind the peer's word of admission.
    pub(super) behind: Bytes,
    pub(super) side: Side,
}

/// What the driver says to a peer that has proved itself.
pub(super) enum Decision {
    Admit,
    Refuse(Refusal),
}

/// What every admission of a node needs.
pub(super) struct Reception {
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Identity,
    pub(super) signer: Arc<dyn keys::Signer>,
    pub(super) key: NetworkKey,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) next_link: AtomicU64,
    /// Ends all admissions.
    pub(super) tasks: CancellationToken,
}

/// A dial to be made.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) dial: DialId,
    pub(super) address: Address,
    pub(super) expected: Option<NodeId>,
    pub(super) dial_seq: u64,
    /// Who wants to know when it really begins.
    pub(super) begun: Option<mpsc::Sender<SystemTime>>,
    /// When it is to be dialled, if not at once.
    pub(super) connect_at: Option<Instant>,
    /// When a connection that is made earlier may say its first word.
    pub(super) speak_from: Option<Instant>,
}

impl Dial {
    /// A dial that begins at once.
    pub(super) fn new(dial: DialId, address: Address, expected: Option<NodeId>, dial_seq: u64) -> Dial {
        Dial { dial, address, expected, dial_seq, begun: None, connect_at: None, speak_from: None }
    }
}

impl Reception {
    /// Dials, and goes through the handshake.
    pub(super) async fn dial(self: Arc<Reception>, mut dial: Dial, cancel: CancellationToken) {
        if let Some(at) = dial.connect_at {
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = cancel.cancelled() => return,
            }
        }
        if let Some(begun) = dial.begun.take() {
            // There is room for each, and nobody waits for who has gone.
            let _ = begun.try_send(SystemTime::now());
        }
        let Dial { address, expected, .. } = &dial;
        let dialling = transport::dial_node(address, &self.identity, *expected, limits::DIAL_TIMEOUT, dial.speak_from);
        let connection = tokio::select! {
            connection = dialling => connection,
            () = cancel.cancelled() => return,
        };
        self.shared.metrics.dials.add(1);
        match connection.map_err(|why| failure_of(&why)).and_then(of_this_user) {
            Ok(connection) => {
                let deadline = Instant::now() + limits::HANDSHAKE_TIME_DEFAULT;
                self.admit(connection, Side::Dialler, Some(dial), deadline, cancel).await;
            }
            Err(why) => self.dial_failed(dial.dial, &dial.address, why).await,
        }
    }

    /// Goes through the handshake on a connection that was accepted.
    pub(super) async fn accept(self: Arc<Reception>, mut connection: Connection, cancel: CancellationToken) {
        self.shared.metrics.connections_accepted.add(1);
        let slot = connection.slot.take();
        let deadline =
            slot.as_ref().map_or_else(|| Instant::now() + limits::HANDSHAKE_TIME_DEFAULT, |slot| slot.deadline());
        let remote = connection.remote.clone();
        let Ok(connection) = of_this_user(connection) else {
            tracing::warn!(%remote, "another user was turned away");
            return;
        };
        let gave_way = async {
            match &slot {
                Some(slot) => slot.ended().await,
                None => std::future::pending().await,
            }
        };
        // Whoever gives way to newcomers has proved nothing yet, so nobody has heard of it.
        let is_proved = CancellationToken::new();
        let told = is_proved.clone();
        let admission = self.admit_telling(connection, Side::Acceptor, None, deadline, cancel, told);
        tokio::pin!(admission);
        tokio::select! {
            () = &mut admission => {}
            () = gave_way, if !is_proved.is_cancelled() => {
                if is_proved.is_cancelled() {
                    admission.await;
                } else {
                    self.shared.metrics.connections_crowded_out.add(1);
                }
            }
        }
    }

    async fn admit(
        &self,
        connection: Connection,
        side: Side,
        dial: Option<Dial>,
        deadline: Instant,
        cancel: CancellationToken,
    ) {
        self.admit_telling(connection, side, dial, deadline, cancel, CancellationToken::new()).await;
    }

    /// The handshake from its first byte to its end, which is told to the driver. `proved` is cancelled once the peer has
    /// proved itself.
    async fn admit_telling(
        &self,
        mut connection: Connection,
        side: Side,
        dial: Option<Dial>,
        deadline: Instant,
        cancel: CancellationToken,
        proved: CancellationToken,
    ) {
        let machine =
            Handshake::new(Instant::now().into_std(), self.config(&connection, side, dial.as_ref(), deadline));
        let mut shake =
            Shake { reception: self, machine, dial: dial.as_ref().map(|dial| dial.dial), link: None, proved };
        let result = tokio::select! {
            result = shake.run(&mut connection) => result,
            () = cancel.cancelled() => Err(HelloError::Closed),
        };
        let link = shake.link;
        match (result, link) {
            (Ok((established, behind)), Some(link)) => {
                self.shared.metrics.admissions.add(1);
                let admitted = Admitted { link, connection, established, behind, side };
                self.tell(Arrival::Admitted(Box::new(admitted))).await;
            }
            (Ok(_), None) => unreachable!("the driver has admitted it under its number"),
            (Err(why), link) => self.failed(connection, &why, link, dial).await,
        }
    }

    async fn failed(&self, connection: Connection, why: &HelloError, link: Option<LinkId>, dial: Option<Dial>) {
        self.shared.metrics.admissions_failed.add(1);
        let remote = &connection.remote;
        tracing::debug!(%remote, why = %shown(&why.to_string()), "not admitted");
        match (link, dial) {
            // The driver said so itself.
            (Some(_), _) if matches!(why, HelloError::RefusedHere(_)) => {}
            (Some(link), _) => self.tell(Arrival::Failed { link, why: why.clone() }).await,
            (None, Some(Dial { dial, address, .. })) => {
                self.dial_failed(dial, &address, DialError::Hello(why.clone())).await;
            }
            (None, None) if matches!(why, HelloError::WrongNetwork) => {
                self.shared.metrics.admissions_of_strangers.add(1);
                tracing::info!(%remote, "a stranger was turned away: it did not prove to belong to this network");
            }
            (None, None) => {}
        }
        part(connection, why).await;
    }

    async fn dial_failed(&self, dial: DialId, address: &Address, why: DialError) {
        self.shared.metrics.dials_failed.add(1);
        tracing::debug!(%address, why = %shown(&why.to_string()), "not linked");
        self.tell(Arrival::DialFailed { dial, why }).await;
    }

    /// Tells the driver; it may be gone.
    async fn tell(&self, arrival: Arrival) {
        let _ = self.arrivals.send(arrival).await;
    }

    fn config(&self, connection: &Connection, side: Side, dial: Option<&Dial>, deadline: Instant) -> Config {
        let mut nonce = [0; 32];
        // The library ends the process by itself when the system has no random numbers to give.
        aws_lc_rs::rand::fill(&mut nonce).expect("random numbers are drawn or the process has ended");
        let binding = match (connection.binding, connection.remote.scheme()) {
            (Some(exporter), _) => Binding::Exporter { value: exporter.value, peer: exporter.peer },
            (None, Scheme::Unix | Scheme::Memory) => Binding::Local,
            (None, Scheme::Tcp | Scheme::Tls | Scheme::Quic) => Binding::Plaintext,
        };
        let time = deadline.saturating_duration_since(Instant::now());
        Config {
            dial_seq: dial.map_or(0, |dial| dial.dial_seq),
            expected: dial.and_then(|dial| dial.expected),
            time,
            ..Config::new(side, self.signer.clone(), self.key.clone(), self.shared.epoch(), nonce, binding)
        }
    }
}

/// One handshake under way.
struct Shake<'a> {
    reception: &'a Reception,
    machine: Handshake,
    dial: Option<DialId>,
    /// Given when the peer has proved itself.
    link: Option<LinkId>,
    proved: CancellationToken,
}

/// What is done next about a handshake.
enum Step {
    Read,
    Ask(Box<Established>),
    Admitted(Established, Bytes),
    Failed(HelloError),
}

impl Shake<'_> {
    async fn run(&mut self, connection: &mut Connection) -> Result<(Established, Bytes), HelloError> {
        let mut step = self.feed(Input::Start, connection).await;
        let mut buffer = [0; READ_BYTES];
        loop {
            step = match step {
                Step::Read => {
                    let due = self.machine.next_timeout().map(Instant::from_std).unwrap_or_else(Instant::now);
                    match timeout_at(due, connection.stream.read(&mut buffer)).await {
                        Err(_) => self.feed(Input::Timeout, connection).await,
                        Ok(Ok(0)) => self.feed(Input::PeerClosed, connection).await,
                        Ok(Ok(count)) => self.feed(Input::Received(&buffer[..count]), connection).await,
                        Ok(Err(why)) => self.feed(broken(&why), connection).await,
                    }
                }
                Step::Ask(established) => match self.ask(established).await {
                    Some(Decision::Admit) => self.feed(Input::Admit, connection).await,
                    Some(Decision::Refuse(why)) => self.feed(Input::Refuse(why), connection).await,
                    None => self.feed(Input::Timeout, connection).await,
                },
                Step::Admitted(established, behind) => return Ok((established, behind)),
                Step::Failed(why) => return Err(why),
            };
        }
    }

    /// Feeds the machine, writes what it wants written, and tells what comes next.
    async fn feed(&mut self, input: Input<'_>, connection: &mut Connection) -> Step {
        let due = self.machine.next_timeout().map_or_else(|| Instant::now() + LAST_WORD, Instant::from_std);
        let mut next = Step::Read;
        for output in self.machine.handle(Instant::now().into_std(), input).collect::<Vec<_>>() {
            match output {
                Output::Send(bytes) => {
                    let write = async {
                        connection.stream.write_all(&bytes).await?;
                        connection.stream.flush().await
                    };
                    if let Ok(Err(why)) = timeout_at(due, write).await {
                        next = Step::Failed(HelloError::Broken(why.to_string()));
                    }
                }
                Output::Proved(established) => next = Step::Ask(Box::new(established)),
                Output::Admitted { established, behind } => return Step::Admitted(established, behind),
                Output::Failed(why) => return Step::Failed(why),
            }
        }
        next
    }

    /// Asks the driver. `None`: its time is over, or it is gone.
    async fn ask(&mut self, established: Box<Established>) -> Option<Decision> {
        let link = LinkId(self.reception.next_link.fetch_add(1, Ordering::Relaxed));
        self.link = Some(link);
        self.proved.cancel();
        let (decide, decided) = oneshot::channel();
        self.reception.tell(Arrival::Proved { link, established, dialled: self.dial, decide }).await;
        let due = self.machine.next_timeout().map(Instant::from_std)?;
        timeout_at(due, decided).await.ok()?.ok()
    }
}

fn broken(why: &io::Error) -> Input<'static> {
    // Ends that reset a connection instead of closing it say no more than those that close it.
    match why.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Input::PeerClosed,
        _ => Input::Broken(why.to_string()),
    }
}

/// Ends a connection that did not become a link. A refusal that was spoken must arrive; where nothing was proved, nothing
/// is said.
async fn part(mut connection: Connection, why: &HelloError) {
    let was_spoken = matches!(why, HelloError::RefusedHere(_) | HelloError::Incompatible { .. });
    if !was_spoken {
        connection.stream.refuse();
        return;
    }
    let linger = async {
        connection.stream.shutdown().await?;
        let mut rest = [0; READ_BYTES];
        while connection.stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whoever does not close after being refused is closed.
    let _ = timeout(LAST_WORD, linger).await;
}

/// On a unix socket only this user's nodes are listened to.
fn of_this_user(connection: Connection) -> Result<Connection, DialError> {
    let own = rustix::process::getuid().as_raw();
    match connection.credentials {
        Some(credentials) if credentials.uid != own => {
            let why = format!("the socket is served by another user ({})", credentials.uid);
            Err(DialError::Unreachable { refused: false, why })
        }
        _ => Ok(connection),
    }
}

/// What a failure of the transport means for a dial.
fn failure_of(why: &transport::DialError) -> DialError {
    use transport::DialError as Transport;
    match why {
        Transport::TimedOut { after, .. } => DialError::TimedOut(*after),
        Transport::IdentityMismatch { expected, found, .. }
        | Transport::Handshake { why: HandshakeFailure::IdentityMismatch { expected, found }, .. } => {
            DialError::Hello(HelloError::IdentityMismatch { expected: *expected, found: *found })
        }
        Transport::Refused { .. } | Transport::NotFound { .. } | Transport::StaleSocket { .. } => {
            DialError::Unreachable { refused: true, why: why.to_string() }
        }
        _ => DialError::Unreachable { refused: false, why: why.to_string() },
    }
}

/// Bytes read at a time. What comes before admission is less.
const READ_BYTES: usize = 4 << 10;

/// How long a last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);
