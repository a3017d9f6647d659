//! Nodes on the same local network, by multicast DNS (RFC 6762 and 6763, PROTOCOL §15).
//!
//! Everybody on the network can hear these records and make some up, so they say as little as possible and are believed as
//! little: names are random and new for each run, and a tag under the network's secret shows that a member made them.
//!
//! ```text
//!   announce   t4f9c…._peerage._udp.local   v=1, t=<16 bytes of HMAC(secret, "peerage mdns" ‖ instance)>
//!   browse     _peerage._udp.local ──▶ is the tag right? ──yes──▶ addresses ──▶ told
//!                                              └──no──▶ forgotten, without a dial
//! ```
//!
//! Whoever hears a record can repeat it with other addresses. What is told is judged like any address that a peer names
//! (`peerage_proto::node::Here`), new addresses come at a bounded rate, and whoever answers must prove to be a member.
//!
//! The library underneath remembers every record it hears, so a flood would fill the memory of all who listen. When it comes to
//! that, listening ends for a minute: there are other ways to be found.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{DaemonEvent, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use peerage_proto::address::{Address, Host, Scheme};
use peerage_proto::hello::NetworkKey;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{NobodyListens, Teller};
use heard::{Heard, Record};

mod heard;

/// Announces this node on the local network and looks for others, for as long as somebody listens.
pub(crate) struct Mdns {
    places: Vec<Place>,
    heard: Heard,
    key: NetworkKey,
    /// Names that are of no other run: random bits.
    random: fn() -> u64,
}

/// Where this node can be reached on the local network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place {
    scheme: Scheme,
    ip: IpAddr,
    port: u16,
}

/// Why listening ended.
enum Ended {
    Failed(String),
    NobodyListens,
}

impl From<NobodyListens> for Ended {
    fn from(_: NobodyListens) -> Ended {
        Ended::NobodyListens
    }
}

impl From<mdns_sd::Error> for Ended {
    fn from(why: mdns_sd::Error) -> Ended {
        Ended::Failed(why.to_string())
    }
}

impl Mdns {
    /// `listening`: where this node listens; `random` gives new random bits each time.
    pub(crate) fn new(key: NetworkKey, listening: &[Address], random: fn() -> u64) -> Mdns {
        Mdns { places: places(listening), heard: Heard::new(key.clone()), key, random }
    }

    /// Announces, looks and tells, until nobody listens or `leave` is cancelled. Then it says goodbye to the network.
    pub(crate) async fn run(mut self, teller: Teller, leave: CancellationToken) {
        loop {
            let ended = match ServiceDaemon::new().map(Daemon) {
                Ok(daemon) => {
                    let ended = tokio::select! {
                        Err(ended) = self.listen(&daemon.0, &teller) => ended,
                        () = leave.cancelled() => Ended::NobodyListens,
                    };
                    daemon.end().await;
                    ended
                }
                Err(why) => why.into(),
            };
            let Ended::Failed(why) = ended else { return };
            tracing::info!(%why, "nothing more is heard of the local network for a while");
            if teller.tell(self.heard.found(), Some(why)).await.is_err() {
                return;
            }
            tokio::select! {
                () = sleep(QUIET) => {}
                () = leave.cancelled() => return,
            }
        }
    }

    async fn listen(&mut self, daemon: &ServiceDaemon, teller: &Teller) -> Result<Infallible, Ended> {
        daemon.set_ip_check_interval(IP_CHECK_SECONDS)?;
        let trouble = daemon.monitor()?;
        let events = daemon.browse(SERVICE)?;
        let mut own = BTreeSet::new();
        for place in &self.places {
            let (info, instance) = place.announced(&self.key, self.random)?;
            daemon.register(info)?;
            own.insert(instance);
        }
        self.heard.begin(own);
        let first = Instant::now() + FIRST_LOOK;
        let (mut has_told, mut count, mut failed) = (false, 0, None);
        let mut second = interval(Duration::from_secs(1));
        loop {
            let has_changed = tokio::select! {
                event = events.recv_async() => {
                    count += 1;
                    // The library ends a search when nobody keeps up with what it finds.
                    let event = event.map_err(|_| flooded())?;
                    if count > EVENTS_PER_SECOND {
                        return Err(flooded());
                    }
                    if let ServiceEvent::ServiceResolved(_) = event {
                        failed = None;
                    }
                    self.take(event, Instant::now())
                }
                event = trouble.recv_async() => {
                    match event {
                        Ok(DaemonEvent::Error(why)) => {
                            failed = Some(why.to_string());
                            has_told
                        }
                        Ok(_) => false,
                        Err(_) => return Err(Ended::Failed("the library has ended".to_owned())),
                    }
                }
                () = sleep_until(first), if !has_told => true,
                _ = second.tick() => {
                    count = 0;
                    if is_full(daemon).await? {
                        return Err(flooded());
                    }
                    false
                }
            };
            if has_changed {
                has_told = true;
                teller.tell(self.heard.found(), failed.clone()).await?;
            }
        }
    }

    /// Takes what was heard. Whether it changes what is found.
    fn take(&mut self, event: ServiceEvent, now: Instant) -> bool {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let Some(instance) = instance_of(service.get_fullname()) else { return false };
                let property = |key: &str| service.get_property_val(key).flatten();
                let addresses = service.get_addresses().iter().map(mdns_sd::ScopedIp::to_ip_addr);
                let record = Record {
                    instance,
                    version: property("v"),
                    tag: property("t"),
                    ips: addresses.collect(),
                    port: service.get_port(),
                };
                self.heard.take(&record, now.into_std())
            }
            ServiceEvent::ServiceRemoved(_, fullname) => {
                instance_of(&fullname).is_some_and(|instance| self.heard.remove(instance))
            }
            _ => false,
        }
    }
}

/// The library's thread. Ended, with a goodbye to the network, when this is dropped at the latest.
struct Daemon(ServiceDaemon);

impl Daemon {
    /// Says goodbye to the network, and returns when that is done.
    async fn end(self) {
        if let Ok(ended) = self.0.shutdown() {
            // It hangs: then its records run out.
            let _ = timeout(GOODBYE, ended.recv_async()).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already, or too busy to be told: then its records run out.
        let _ = self.0.shutdown();
    }
}

impl Place {
    /// The record for this place under a new name, and that name.
    fn announced(&self, key: &NetworkKey, random: fn() -> u64) -> Result<(ServiceInfo, String), mdns_sd::Error> {
        let letter = if self.scheme == Scheme::Quic { 'q' } else { 't' };
        let instance = format!("{letter}{:016x}{:016x}", random(), random());
        let host = format!("{:016x}{:016x}.local.", random(), random());
        let tag = hex(&key.mdns_tag(&instance));
        let properties = [("v", VERSION), ("t", &tag)];
        let ips: Vec<IpAddr> = if self.ip.is_unspecified() { Vec::new() } else { vec![self.ip] };
        let info = ServiceInfo::new(SERVICE, &instance, &host, &ips[..], self.port, &properties[..])?;
        let mut info = if ips.is_empty() { info.enable_addr_auto() } else { info };
        // Random names are nobody else's.
        info.set_requires_probe(false);
        Ok((info, instance))
    }
}

/// What is announced of the addresses listened at: those that others can reach, over TLS if there is such a one.
fn places(listening: &[Address]) -> Vec<Place> {
    let place = |address: &Address| {
        let (ip, port) = (address.host().and_then(Host::ip)?.to_canonical(), address.port()?);
        (!ip.is_loopback()).then_some(Place { scheme: address.scheme(), ip, port })
    };
    let of = |scheme| listening.iter().filter(move |address| address.scheme() == scheme).filter_map(place);
    let tls: Vec<Place> = of(Scheme::Tls).take(PLACES_MAX).collect();
    if tls.is_empty() { of(Scheme::Quic).take(PLACES_MAX).collect() } else { tls }
}

/// The first label of the name of a service.
fn instance_of(fullname: &str) -> Option<&str> {
    fullname.strip_suffix(SERVICE)?.strip_suffix('.')
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn flooded() -> Ended {
    Ended::Failed(format!("flooded with records; listening again in {} s", QUIET.as_secs()))
}

/// Whether the library remembers more than it should.
async fn is_full(daemon: &ServiceDaemon) -> Result<bool, Ended> {
    let answer: Receiver<mdns_sd::Metrics> = daemon.get_metrics()?;
    let Ok(Ok(metrics)) = timeout(Duration::from_secs(1), answer.recv_async()).await else {
        // It has no time to answer.
        return Ok(true);
    };
    let cached = metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, count)| count);
    Ok(cached.sum::<i64>() > RECORDS_MAX)
}

const SERVICE: &str = "_peerage._udp.local.";

/// Version of what the records say.
const VERSION: &str = "1";

/// Addresses of one node that are announced, each by a record of its own.
const PLACES_MAX: usize = 4;

/// Time after which whoever has not answered is taken to be absent. Answers come within a tenth of a second, and what they leave
/// out within another.
const FIRST_LOOK: Duration = Duration::from_millis(750);

/// How often the library looks at the interfaces.
const IP_CHECK_SECONDS: u32 = 1;

/// Findings of the library in a second, at most: a network of that size is a flood.
const EVENTS_PER_SECOND: u32 = 500;

/// Records that the library may remember: those of a thousand nodes.
const RECORDS_MAX: i64 = 8_192;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// How long nothing is heard after a flood or a failure.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_others_on_the_network_can_reach_is_announced_over_tls_if_it_is_spoken() {
        let both = places(&listening(&["tls://[::]:5000", "quic://[::]:5000", "unix:///run/a.link"]));
        assert_eq!(both, [Place { scheme: Scheme::Tls, ip: "::".parse().unwrap(), port: 5000 }]);
        let quic = places(&listening(&["tls://127.0.0.1:5000", "quic://10.0.0.1:5001"]));
        assert_eq!(quic, [Place { scheme: Scheme::Quic, ip: "10.0.0.1".parse().unwrap(), port: 5001 }]);
        assert_eq!(places(&listening(&["tls://[::1]:5000", "memory://a", "tcp://10.0.0.1:1"])), []);
        let many: Vec<String> = (1..9).map(|n| format!("tls://10.0.0.{n}:5000")).collect();
        assert_eq!(places(&listening(&many.iter().map(String::as_str).collect::<Vec<_>>())).len(), PLACES_MAX);
    }

    #[test]
    fn an_announcement_holds_random_names_a_version_and_a_tag_and_nothing_else() {
        let key = NetworkKey::new("lab", &[7; 32]).unwrap();
        let place = Place { scheme: Scheme::Tls, ip: "10.0.0.1".parse().unwrap(), port: 5000 };
        let (info, instance) = place.announced(&key, || 0x0123_4567_89ab_cdef).unwrap();
        assert_eq!(instance, "t0123456789abcdef0123456789abcdef");
        assert_eq!(info.get_hostname(), "0123456789abcdef0123456789abcdef.local.");
        let properties: Vec<(&str, &str)> =
            info.get_properties().iter().map(|property| (property.key(), property.val_str())).collect();
        // The example of PROTOCOL §15.
        assert_eq!(properties, [("v", "1"), ("t", "b5cb1bff0338ffbbc41266167f3e643c")]);
    }

    #[test]
    fn the_instance_is_what_stands_before_the_service() {
        assert_eq!(instance_of("tab12._peerage._udp.local."), Some("tab12"));
        assert_eq!(instance_of("tab12._other._udp.local."), None);
        assert_eq!(instance_of(SERVICE), None);
    }
}
