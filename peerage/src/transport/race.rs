//! Dialling a name that stands for several addresses.
//!
//! A name may stand for several machines or for both families of addresses, of which some do not answer. They are
//! raced gently (in the manner of RFC 8305): the next attempt starts when one has failed or 250 ms have passed, the
//! first one through wins, families take turns.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use peerage_proto::address::{Address, Host};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::DialError;
use crate::address::look_up;

/// Resolves the address anew and connects to the first of its sockets that lets us. Of several failures the last is told.
pub(super) async fn connect<C, F>(
    address: &Address,
    connect_to: impl Fn(SocketAddr) -> F + Send,
) -> Result<C, DialError>
where
    C: Send + 'static,
    F: Future<Output = Result<C, DialError>> + Send + 'static,
{
    let host = || address.host().map(Host::to_string).unwrap_or_default();
    let found = look_up(address).await.map_err(|source| DialError::Resolve { host: host(), source })?;
    race(address, families_in_turn(found), connect_to).await
}

async fn race<C, F>(
    address: &Address,
    candidates: Vec<SocketAddr>,
    connect_to: impl Fn(SocketAddr) -> F,
) -> Result<C, DialError>
where
    C: Send + 'static,
    F: Future<Output = Result<C, DialError>> + Send + 'static,
{
    let mut waiting = candidates.into_iter();
    let mut attempts = JoinSet::new(); // dropped with us, which ends the attempts that are still under way
    let nothing_to_try = io::Error::new(io::ErrorKind::NotFound, "no address to try");
    let mut last_failure = DialError::from_io(address, nothing_to_try);
    loop {
        if let Some(candidate) = waiting.next() {
            attempts.spawn(connect_to(candidate));
        }
        tokio::select! {
            done = attempts.join_next() => match done {
                Some(Ok(Ok(connected))) => return Ok(connected),
                Some(Ok(Err(why))) => last_failure = why,
                Some(Err(why)) => last_failure = DialError::from_io(address, why.into()),
                None => return Err(last_failure),
            },
            () = sleep(NEXT_CANDIDATE_AFTER), if waiting.len() > 0 => {}
        }
    }
}

/// The resolver's order within each family, the families in turn, beginning with that of the first address.
fn families_in_turn(candidates: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv6 = candidates.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|candidate| candidate.is_ipv6() == first_is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    while first.len() + second.len() > 0 {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

/// How long an attempt may go on before the next address is tried as well (RFC 8305 recommends 250 ms).
const NEXT_CANDIDATE_AFTER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let given = sockets(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        let expected = sockets(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "[::3]:1"]);
        assert_eq!(families_in_turn(given), expected);
        assert_eq!(families_in_turn(Vec::new()), []);
    }

    /// Lets a dialler in at port 7 only.
    async fn connect_to(candidate: SocketAddr) -> Result<SocketAddr, DialError> {
        match candidate.port() {
            7 => Ok(candidate),
            _ => Err(DialError::from_io(&Address::tcp(candidate), io::ErrorKind::ConnectionRefused.into())),
        }
    }

    #[tokio::test]
    async fn a_candidate_that_fails_makes_room_for_the_next() {
        let candidates = sockets(&["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:7", "10.0.0.4:1"]);
        let address = Address::tcp(candidates[0]);
        assert_eq!(race(&address, candidates.clone(), connect_to).await.unwrap(), candidates[2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_candidate_that_does_not_answer_holds_the_next_up_for_a_quarter_of_a_second() {
        let start = tokio::time::Instant::now();
        let candidates = sockets(&["10.0.0.1:1", "10.0.0.2:7"]);
        let address = Address::tcp(candidates[0]);
        let connect_to = |candidate: SocketAddr| async move {
            if candidate.port() != 7 {
                std::future::pending::<()>().await;
            }
            connect_to(candidate).await
        };
        assert_eq!(race(&address, candidates.clone(), connect_to).await.unwrap(), candidates[1]);
        assert_eq!(start.elapsed(), NEXT_CANDIDATE_AFTER);
    }

    #[tokio::test]
    async fn when_every_candidate_fails_the_last_failure_is_told() {
        let candidates = sockets(&["10.0.0.1:1", "10.0.0.2:1"]);
        let address = Address::tcp(candidates[0]);
        let why = race(&address, candidates.clone(), connect_to).await.unwrap_err();
        assert!(matches!(&why, DialError::Refused { address } if *address == Address::tcp(candidates[1])), "{why}");
        assert!(race(&address, Vec::new(), connect_to).await.is_err());
    }
}
