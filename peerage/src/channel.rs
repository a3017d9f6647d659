//! Plain request and reply on one connection, without a node.
//!
//! A [`Channel`] is what `aiomas.channel` offers, with the loose ends tied up: both ends may ask, replies come in any
//! order, every call has a deadline and one outcome, a request must be answered and a dropped one answers by itself.
//!
//! ```text
//!   Channel::connect(address) ─┐                           ┌─ Listener::bind(address) ─ accept() / serve(handler)
//!                              ▼                           ▼
//!                    request(content) ───────────▶ next_request() ─▶ Request::reply(value)
//!                    next_request()  ◀───────────  request(content)
//! ```
//!
//! Who only calls takes a [`Caller`], a cheap clone; any number of tasks may call while one reads requests. The channel
//! itself has one owner, and dropping it closes the connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use peerage_proto::channel::Config;
use peerage_proto::codec::{Encoding, Payload};
use peerage_proto::limits;
use peerage_proto::outcome::LinkLost;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::Address;
use crate::link::Link;
use crate::transport::{Connection, Secured, UnixCredentials};

mod buffer;
mod call;
mod connect;
mod handler;
mod listener;
mod request;

pub(crate) use call::Asking;
pub use call::Call;
pub use connect::{Connect, Connecting};
pub use handler::{Failure, Handler, WithRequest};
pub(crate) use listener::ServerFigures;
pub use listener::{Bind, Binding, Listener, Server};
pub use peerage_proto::channel::Counters;
pub use request::Request;

/// One connection on which both ends may ask and answer.
///
/// Dropping it closes the connection: calls in flight end, answers already given are still written.
#[derive(Debug)]
pub struct Channel {
    caller: Caller,
}

/// The calling half of a [`Channel`]: a cheap clone for any number of tasks.
///
/// It does not keep the connection open; once the channel is closed its calls end as `NotSent`.
#[derive(Clone)]
pub struct Caller {
    link: Link,
}

/// The program at the other end, as far as the transport knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Peer {
    /// Who runs it, on a unix socket.
    pub credentials: Option<UnixCredentials>,
    /// What it proved, over `tls://` and `quic://`.
    pub secured: Option<Arc<Secured>>,
}

/// What a channel may use, shared by [`Connect`] and [`Listener`].
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    encoding: Option<Encoding>,
    frame_bytes: u32,
    calls_in_flight: u32,
    served_at_once: u32,
}

impl Channel {
    /// Connects to an address. Await it, or first say more: [`Connect::encoding`], [`Connect::tls`],
    /// [`Connect::timeout`], [`Connect::retry`].
    ///
    /// The encoding is the address's `?codec=`, else JSON, as aiomas has it.
    ///
    /// # Errors
    /// [`DialError`](crate::DialError) when nobody listens there, the name does not resolve, or time is over.
    pub fn connect(address: &Address) -> Connect {
        Connect::new(address.clone())
    }

    /// Asks the peer. Await it for the answer, or first say more: [`Call::deadline`].
    ///
    /// Dropping the future gives up: a request that has not left is taken back.
    ///
    /// # Errors
    /// [`CallError`](crate::CallError); its class tells whether the request may have run.
    pub fn request<R: DeserializeOwned>(&self, content: &(impl Serialize + ?Sized)) -> Call<'_, R> {
        self.caller.request(content)
    }

    /// Asks the peer with content that is already encoded, and gives the answer as it came.
    ///
    /// # Errors
    /// As [`request`](Self::request), and `Refused` if the payload has another encoding than the channel.
    pub fn request_payload(&self, content: Payload) -> Call<'_, Payload> {
        self.caller.request_payload(content)
    }

    /// The next request of the peer, in the order of arrival; `None` once the connection has ended and all that were
    /// read are fetched.
    ///
    /// Cancel-safe: dropping the future loses no request.
    pub async fn next_request(&mut self) -> Option<Request> {
        let link = &self.caller.link;
        let (served, content) = std::future::poll_fn(|cx| link.poll_request(cx)).await?;
        Some(Request::new(link.clone(), served, content))
    }

    /// A handle for calling from other tasks.
    pub fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// Address of this end.
    pub fn local_address(&self) -> &Address {
        self.caller.local_address()
    }

    /// Address of the other end. For an accepted unix connection that is the listening path.
    pub fn remote_address(&self) -> &Address {
        self.caller.remote_address()
    }

    /// What the transport knows of the program at the other end.
    pub fn peer(&self) -> Peer {
        let facts = self.caller.link.facts();
        Peer { credentials: facts.credentials, secured: facts.secured.clone() }
    }

    /// The encoding in use; `None` on an accepted connection that left it open and has not read a frame yet.
    pub fn encoding(&self) -> Option<Encoding> {
        self.caller.encoding()
    }

    /// What happened on this connection so far.
    pub fn counters(&self) -> Counters {
        self.caller.link.counters()
    }

    /// Closes the connection and waits until it has ended, at most about 2 s. Calls in flight end, answers already given
    /// are still written. Closing twice is harmless.
    pub async fn close(&self) {
        self.caller.close().await;
    }

    /// Waits until the connection has ended and tells why.
    pub async fn ended(&self) -> LinkLost {
        self.caller.link.ended().await
    }

    fn from_link(link: Link) -> Channel {
        Channel { caller: Caller { link } }
    }

    fn start(connection: Connection, settings: &Settings, address: &Address) -> Channel {
        let config = settings.config(address, Some(Encoding::Json));
        Channel::from_link(Link::start(connection, config, None, None))
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.caller.link.close();
    }
}

impl Caller {
    /// As [`Channel::request`].
    ///
    /// # Errors
    /// As [`Channel::request`].
    pub fn request<R: DeserializeOwned>(&self, content: &(impl Serialize + ?Sized)) -> Call<'_, R> {
        Call::typed(&self.link, content)
    }

    /// As [`Channel::request_payload`].
    ///
    /// # Errors
    /// As [`Channel::request_payload`].
    pub fn request_payload(&self, content: Payload) -> Call<'_, Payload> {
        Call::opaque(&self.link, content)
    }

    /// As [`Channel::local_address`].
    pub fn local_address(&self) -> &Address {
        &self.link.facts().local
    }

    /// As [`Channel::remote_address`].
    pub fn remote_address(&self) -> &Address {
        &self.link.facts().remote
    }

    /// As [`Channel::encoding`].
    pub fn encoding(&self) -> Option<Encoding> {
        self.link.encoding()
    }

    /// As [`Channel::close`].
    pub async fn close(&self) {
        self.link.close();
        self.link.ended().await;
    }

    /// Whether both are of one connection.
    pub(crate) fn is_same(&self, other: &Caller) -> bool {
        self.link.is_same(&other.link)
    }

    /// As [`Channel::ended`].
    pub(crate) async fn ended(&self) -> LinkLost {
        self.link.ended().await
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("local", &self.local_address().to_string())
            .field("remote", &self.remote_address().to_string())
            .field("ended", &self.link.why_ended())
            .finish()
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            encoding: None,
            frame_bytes: limits::PLAIN_FRAME_BYTES_DEFAULT,
            calls_in_flight: limits::CALLS_IN_FLIGHT_DEFAULT,
            served_at_once: limits::SERVED_AT_ONCE_DEFAULT,
        }
    }
}

impl Settings {
    /// The machine's configuration: an encoding set here comes first, then the address's, then `default`.
    fn config(&self, address: &Address, default: Option<Encoding>) -> Config {
        Config {
            encoding: self.encoding.or(address.codec()).or(default),
            frame_bytes: self.frame_bytes.min(limits::FRAME_BYTES_MAX),
            calls_in_flight: self.calls_in_flight.max(1),
            served_at_once: self.served_at_once.max(1),
            ..Config::default()
        }
    }
}

/// A deadline far enough away to be none: about thirty years.
const FOREVER: Duration = Duration::from_secs(1_000_000_000);

#[cfg(test)]
mod tests;
