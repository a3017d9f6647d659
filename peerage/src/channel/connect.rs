//! Connecting: what may be said before a channel exists.

use std::pin::Pin;
use std::time::Duration;

use peerage_proto::codec::Encoding;
use tokio::time::Instant;

use super::{Channel, FOREVER, Settings};
use crate::address::Address;
use crate::transport::{self, DialError, Tls};

/// A connection to be made. Await it.
#[derive(Clone, Debug)]
#[must_use = "nothing is connected until it is awaited"]
pub struct Connect {
    address: Address,
    settings: Settings,
    tls: Option<Tls>,
    timeout: Duration,
    retry: bool,
}

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Channel, DialError>> + Send>>;

impl Connect {
    pub(super) fn new(address: Address) -> Connect {
        Connect { address, settings: Settings::default(), tls: None, timeout: TIMEOUT_DEFAULT, retry: false }
    }

    /// The encoding of the channel; it comes before `?codec=` of the address. Both ends must use the same. Default JSON.
    pub fn encoding(mut self, encoding: Encoding) -> Connect {
        self.settings.encoding = Some(encoding);
        self
    }

    /// How a connection over `tls://` or `quic://` is secured: an [`Identity`](crate::Identity) for raw keys on both ends, or
    /// [`X509`](crate::transport::X509) for certificates. Default: certificates, believing what the system believes.
    pub fn tls(mut self, tls: impl Into<Tls>) -> Connect {
        self.tls = Some(tls.into());
        self
    }

    /// How long connecting may take, retries included. Default 30 s; a single attempt is given up after 3 s.
    pub fn timeout(mut self, timeout: Duration) -> Connect {
        self.timeout = timeout.min(FOREVER);
        self
    }

    /// Whether to try again while nobody listens yet: after 0.5 s, then 1.5 times as long each time, 30 s at most, with
    /// jitter, until the timeout. Default no.
    pub fn retry(mut self, retry: bool) -> Connect {
        self.retry = retry;
        self
    }

    /// Largest frame sent and accepted, in bytes. Default 16 MiB, at most 64 MiB. A larger request is refused before
    /// anything is sent; a larger frame of the peer ends the connection.
    pub fn max_frame(mut self, bytes: u32) -> Connect {
        self.settings.frame_bytes = bytes;
        self
    }

    /// Calls without an answer at a time; more of them wait inside their deadline. Default 1,024.
    pub fn calls_in_flight(mut self, calls: u32) -> Connect {
        self.settings.calls_in_flight = calls;
        self
    }

    /// Requests of the peer without an answer at a time; above it reading stops, answers to own calls included.
    /// Default 1,024.
    pub fn requests_in_service(mut self, requests: u32) -> Connect {
        self.settings.served_at_once = requests;
        self
    }
}

impl IntoFuture for Connect {
    type Output = Result<Channel, DialError>;
    type IntoFuture = Connecting;

    fn into_future(self) -> Connecting {
        Box::pin(async move {
            let deadline = Instant::now() + self.timeout;
            let connection = transport::dial_until(&self.address, self.tls.as_ref(), deadline, self.retry).await?;
            Ok(Channel::start(connection, &self.settings, &self.address))
        })
    }
}

/// How long connecting may take unless said otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
