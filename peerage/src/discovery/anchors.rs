//! Members that this node was linked with, remembered over its restarts.
//!
//! Whoever starts again and finds its seeds gone still knows somebody. And whoever could fill the addresses that a newcomer
//! hears of cannot choose whom it remembers: these are nodes that it had links with, tied to their ids.
//!
//! ```text
//!   links ──once a minute at most, and at the end──▶ file ──start──▶ told, for an hour
//! ```
//!
//! The file holds a line for each member, with the addresses it can be reached at: `tls://ID@10.0.0.1:5000 quic://ID@…`. It is
//! a [private file](crate::private_file), because it says who belongs to a network.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use peerage_proto::address::{Address, Scheme};
use peerage_proto::id::NodeId;
use tokio::time::sleep;

use super::{NobodyListens, Teller};
use crate::private_file::{Folder, PrivateFileError};

/// Somebody to begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Anchor {
    pub(crate) id: NodeId,
    /// Addresses with this id, the best one first.
    addresses: Vec<Address>,
}

impl Anchor {
    /// A member that can be reached at these addresses; `None` if none of them is of use after a restart.
    pub(crate) fn new(id: NodeId, addresses: impl IntoIterator<Item = Address>) -> Option<Anchor> {
        let is_lasting = |address: &Address| matches!(address.scheme(), Scheme::Tls | Scheme::Quic | Scheme::Tcp);
        let lasting = addresses.into_iter().filter(is_lasting).take(ADDRESSES_MAX);
        let addresses: Vec<Address> = lasting.map(|address| address.with_node(id)).collect();
        (!addresses.is_empty()).then_some(Anchor { id, addresses })
    }

    fn read(line: &str) -> Option<Anchor> {
        let addresses: Option<Vec<Address>> = line.split(' ').map(|text| text.parse().ok()).collect();
        let addresses = addresses?;
        let id = addresses.first()?.node()?;
        let is_one = addresses.iter().all(|address| address.node() == Some(id));
        Anchor::new(id, addresses).filter(|_| is_one)
    }

    fn line(&self) -> String {
        self.addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// The anchors of a node, and the file that keeps them.
#[derive(Debug)]
pub(crate) struct Anchors {
    file: PathBuf,
    /// Whoever is linked now first.
    known: Vec<Anchor>,
    /// What the file holds.
    written: Vec<Anchor>,
    may_write: Option<Instant>,
}

/// What is to be written.
#[derive(Debug)]
pub(crate) struct Save {
    file: PathBuf,
    content: String,
}

/// What the file held at the start.
pub(crate) struct Remembered {
    found: BTreeSet<Address>,
    failed: Option<String>,
}

impl Anchors {
    /// The anchors in a file, which need not be there, and what is to be told of them.
    pub(crate) fn open(file: PathBuf) -> (Anchors, Remembered) {
        let read = Folder::private_of_if_there(&file).and_then(|(folder, name)| folder.read(&name));
        let (known, failed) = match read {
            Ok(text) => (text.lines().filter_map(Anchor::read).take(ANCHORS_MAX).collect(), None),
            Err(PrivateFileError::NotFound { .. }) => (Vec::new(), None),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        let found = known.iter().flat_map(|anchor: &Anchor| anchor.addresses.iter().cloned()).collect();
        let anchors = Anchors { file, written: known.clone(), known, may_write: None };
        (anchors, Remembered { found, failed })
    }

    /// Whether the last time is so long ago that the file may be written.
    pub(crate) fn may_write(&self, now: Instant) -> bool {
        self.may_write.is_none_or(|at| now >= at)
    }

    /// These members are linked now. What to write, if that is news and the last time is long ago.
    pub(crate) fn keep(&mut self, now: Instant, linked: Vec<Anchor>) -> Option<Save> {
        self.learn(linked);
        if !self.may_write(now) {
            return None;
        }
        let save = self.save()?;
        self.may_write = Some(now + WRITE_PAUSE);
        Some(save)
    }

    /// The last time: what to write, if it is news.
    pub(crate) fn close(&mut self) -> Option<Save> {
        self.save()
    }

    /// These members are linked now.
    pub(crate) fn learn(&mut self, mut linked: Vec<Anchor>) {
        linked.truncate(ANCHORS_MAX);
        let before = std::mem::replace(&mut self.known, linked);
        for anchor in before {
            if self.known.len() < ANCHORS_MAX && self.known.iter().all(|known| known.id != anchor.id) {
                self.known.push(anchor);
            }
        }
    }

    fn save(&mut self) -> Option<Save> {
        if self.known == self.written {
            return None;
        }
        self.written.clone_from(&self.known);
        let content = self.known.iter().map(|anchor| anchor.line() + "\n").collect();
        Some(Save { file: self.file.clone(), content })
    }
}

impl Save {
    /// Writes it, whole or not at all.
    pub(crate) fn write(self) -> Result<(), PrivateFileError> {
        let (folder, name) = Folder::private_of(&self.file)?;
        folder.replace(&name, self.content.as_bytes())
    }
}

impl Remembered {
    /// Tells for an hour whom this node was linked with.
    pub(crate) async fn run(self, teller: Teller) {
        let told = async {
            teller.tell(self.found, self.failed).await?;
            sleep(TRIED_FOR).await;
            // Whoever was linked with meanwhile is a member like any other.
            teller.tell(BTreeSet::new(), None).await
        };
        // Nothing more to do in either case.
        let (Ok(()) | Err(NobodyListens)) = told.await;
    }
}

/// Members that are remembered.
const ANCHORS_MAX: usize = 8;

/// Addresses of each of them.
const ADDRESSES_MAX: usize = 2;

/// Time between two writings of the file.
const WRITE_PAUSE: Duration = Duration::from_secs(60);

/// How long anchors are dialled after a start: as long as any other member that was lost.
const TRIED_FOR: Duration = peerage_proto::limits::MEMBER_KEPT;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::Identity;

    fn anchor(port: u16) -> Anchor {
        let addresses =
            ["unix:///run/a.link".to_owned(), format!("tls://10.0.0.1:{port}"), format!("quic://10.0.0.1:{port}")];
        Anchor::new(Identity::generate().id(), addresses.iter().map(|text| text.parse().unwrap())).unwrap()
    }

    fn anchors(count: u16) -> Vec<Anchor> {
        (1..=count).map(anchor).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn whom_a_node_was_linked_with_is_known_after_a_restart_by_address_and_id() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("state/a.anchors");
        let (mut before, remembered) = Anchors::open(file.clone());
        assert!(remembered.found.is_empty() && remembered.failed.is_none());
        let linked = anchors(2);
        before.keep(Instant::now(), linked.clone()).unwrap().write().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let (after, remembered) = Anchors::open(file);
        assert_eq!(after.known, linked);
        assert_eq!(remembered.found.len(), 4);
        assert!(remembered.found.iter().all(|address| linked.iter().any(|anchor| address.node() == Some(anchor.id))));
    }

    #[test]
    fn the_file_is_written_once_a_minute_at_most_and_at_the_end_if_there_is_news() {
        let (mut known, now) = (Anchors::open("/nowhere/a.anchors".into()).0, Instant::now());
        let linked = anchors(3);
        assert!(known.keep(now, linked[..1].to_vec()).is_some());
        assert!(known.keep(now + seconds(59), linked[..2].to_vec()).is_none(), "too soon");
        assert!(known.keep(now + seconds(60), linked[..2].to_vec()).is_some());
        assert!(known.keep(now + seconds(500), linked[..2].to_vec()).is_none(), "no news");
        known.learn(linked);
        assert!(known.close().is_some(), "the end does not wait");
        assert!(known.close().is_none());
    }

    #[test]
    fn eight_members_are_known_those_linked_now_before_those_that_were() {
        let mut known = Anchors::open("/nowhere/a.anchors".into()).0;
        let all = anchors(20);
        known.learn(all[..3].to_vec());
        known.learn(all[3..6].to_vec());
        assert_eq!(known.known, [&all[3..6], &all[..3]].concat());
        known.learn(all[..1].to_vec());
        assert_eq!(known.known, [&all[..1], &all[3..6], &all[1..3]].concat());
        known.learn(Vec::new());
        assert_eq!(known.known.len(), 6, "a node without links forgets nobody");
        known.learn(all.clone());
        assert_eq!(known.known, all[..8]);
    }

    #[test]
    fn lines_that_are_no_anchors_are_left_out_and_a_file_open_to_others_is_told() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let file = home.path().join("a.anchors");
        let (good, other) = (anchor(1), anchor(2));
        let mixed = format!("{} {}", good.addresses[0], other.addresses[0]);
        let lines = ["", "no address", "tls://10.0.0.1:5", "unix:///run/a.link", &mixed, &good.line()];
        fs::write(&file, lines.join("\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Anchors::open(file.clone()).0.known, [good]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let (known, remembered) = Anchors::open(file);
        assert!(known.known.is_empty() && remembered.failed.is_some_and(|why| why.contains("chmod 600")));
    }

    #[tokio::test(start_paused = true)]
    async fn anchors_are_told_at_once_and_for_an_hour() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("state/a.anchors");
        Anchors::open(file.clone()).0.keep(Instant::now(), anchors(1)).unwrap().write().unwrap();
        let (findings, mut told) = tokio::sync::mpsc::channel(1);
        tokio::spawn(Anchors::open(file).1.run(Teller::new(super::super::Method::Anchors, findings)));
        let began = tokio::time::Instant::now();
        assert_eq!(told.recv().await.unwrap().found.len(), 2);
        assert!(began.elapsed() < seconds(1));
        assert!(told.recv().await.unwrap().found.is_empty());
        assert!(began.elapsed() >= TRIED_FOR);
        assert!(told.recv().await.is_none());
    }
}
