//! Nodes of one user on one machine: each that wants to be met has a link socket in a directory that all of them know.
//!
//! A node listens first and looks then. So of any two nodes that start at the same time at least one finds the other,
//! whatever the timing. Whoever was there before need not hurry: the newcomer is about to dial. So a socket that appears
//! later is told of only when it is still there at the next look, and by then there usually is a link.
//!
//! ```text
//!   run/lab/a.link ─┐                    first look: everybody who is there
//!   run/lab/b.link ─┼── directory ──▶    later: who came, one look later; who went, at once
//!   run/lab/a.sock  (control sockets are no concern here)
//! ```
//!
//! A node that was killed leaves its socket behind. Nobody answers there, which is no fault: it is tried now and then, as long
//! as the file is there, for its node may come back.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use peerage_proto::address::Address;
use tokio::time::sleep;

use super::{NobodyListens, Teller};

/// Looks for link sockets in a directory, for as long as somebody listens.
pub(crate) struct Localhost {
    folder: PathBuf,
    /// Where this node itself listens.
    own: Vec<Address>,
    /// What was there at the last look.
    there: BTreeSet<Address>,
    /// What was told then.
    told: Option<BTreeSet<Address>>,
    failed: Option<String>,
}

impl Localhost {
    pub(crate) fn new(folder: PathBuf, own: Vec<Address>) -> Localhost {
        Localhost { folder, own, there: BTreeSet::new(), told: None, failed: None }
    }

    /// Looks and tells, until nobody listens.
    pub(crate) async fn run(mut self, teller: Teller) {
        let Err(NobodyListens) = self.look_on(&teller).await;
    }

    async fn look_on(&mut self, teller: &Teller) -> Result<std::convert::Infallible, NobodyListens> {
        loop {
            let state = State::of(&self.folder);
            let folder = self.folder.clone();
            // Reading a directory may touch a disk.
            let read =
                tokio::task::spawn_blocking(move || sockets_in(&folder)).await.unwrap_or_else(|why| Err(why.into()));
            match read {
                Ok(there) => {
                    let was_failed = self.failed.take().is_some();
                    if let Some(found) = self.seen(there).or_else(|| self.told.clone().filter(|_| was_failed)) {
                        teller.tell(found, None).await?;
                    }
                }
                Err(why) => {
                    self.there.clear();
                    self.told = Some(BTreeSet::new());
                    let failed = Some(format!("{}: {why}", self.folder.display()));
                    if self.failed != failed {
                        self.failed.clone_from(&failed);
                        teller.tell(BTreeSet::new(), failed).await?;
                    }
                }
            }
            let is_settled = self.told.as_ref() == Some(&self.there);
            sleep(LOOK_AGAIN).await;
            while is_settled && state.is_some() && !state.is_young() && State::of(&self.folder) == state {
                sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Takes a look at what is there. What to tell, if that is news.
    fn seen(&mut self, mut there: BTreeSet<Address>) -> Option<BTreeSet<Address>> {
        there.retain(|address| !self.own.contains(address));
        let found = match &self.told {
            None => there.clone(),
            Some(told) => {
                there.iter().filter(|address| self.there.contains(address) || told.contains(address)).cloned().collect()
            }
        };
        self.there = there;
        if self.told.as_ref() == Some(&found) {
            return None;
        }
        self.told = Some(found.clone());
        Some(found)
    }
}

/// What changes with the entries of a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct State(Option<(u64, SystemTime)>);

impl State {
    fn of(folder: &Path) -> State {
        let known = fs::metadata(folder).ok();
        State(known.and_then(|known| Some((known.ino(), known.modified().ok()?))))
    }

    fn is_some(self) -> bool {
        self.0.is_some()
    }

    /// Whether it changed so lately that the next change may have the same time.
    fn is_young(self) -> bool {
        self.0.is_some_and(|(_, at)| at.elapsed().is_ok_and(|age| age < YOUNG))
    }
}

/// The link sockets in a directory.
fn sockets_in(folder: &Path) -> io::Result<BTreeSet<Address>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_link = entry.path().extension().is_some_and(|extension| extension == "link");
        if is_link && entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            found.extend(Address::unix(entry.path()));
        }
    }
    Ok(found)
}

/// Time between two looks. Who comes is told of after the second, and has usually come by itself long before.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How fine the clock of a file system is, at the worst.
const YOUNG: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tokio::sync::mpsc;

    use super::super::{Finding, Method};
    use super::*;

    fn at(folder: &Path, name: &str) -> Address {
        Address::unix(folder.join(name)).unwrap()
    }

    fn names(found: &BTreeSet<Address>) -> Vec<String> {
        found
            .iter()
            .map(|address| address.path().unwrap().file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn only_link_sockets_are_found_and_not_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let _sockets =
            ["a.link", "own.link", "b.sock"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
        fs::write(folder.path().join("file.link"), "no socket").unwrap();
        std::os::unix::fs::symlink(folder.path().join("a.link"), folder.path().join("led.link")).unwrap();
        let mut source = Localhost::new(folder.path().to_owned(), vec![at(folder.path(), "own.link")]);
        let found = source.seen(sockets_in(folder.path()).unwrap()).unwrap();
        assert_eq!(names(&found), ["a.link"]);
    }

    #[test]
    fn who_comes_later_is_told_of_one_look_later_and_who_goes_at_once() {
        let mut source = Localhost::new(PathBuf::new(), Vec::new());
        let set = |names: &[&str]| names.iter().map(|name| at(Path::new("/run/lab"), name)).collect::<BTreeSet<_>>();
        assert_eq!(source.seen(set(&["a.link"])), Some(set(&["a.link"])));
        assert_eq!(source.seen(set(&["a.link", "b.link"])), None);
        assert_eq!(source.seen(set(&["a.link", "b.link"])), Some(set(&["a.link", "b.link"])));
        assert_eq!(source.seen(set(&["b.link"])), Some(set(&["b.link"])));
        assert_eq!(source.seen(set(&["b.link"])), None);
    }

    async fn next(told: &mut mpsc::Receiver<Finding>) -> Finding {
        tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_directory_is_watched_for_sockets_that_come_and_go_and_its_absence_is_told() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("lab");
        let (findings, mut told) = mpsc::channel(1);
        let source = Localhost::new(folder.clone(), Vec::new());
        tokio::spawn(source.run(Teller::new(Method::Localhost, findings)));

        let first = next(&mut told).await;
        assert!(first.found.is_empty() && first.failed.as_ref().is_some_and(|why| why.contains("lab")), "{first:?}");
        fs::create_dir(&folder).unwrap();
        let socket = UnixListener::bind(folder.join("a.link")).unwrap();
        let there = loop {
            let finding = next(&mut told).await;
            if finding.failed.is_none() && !finding.found.is_empty() {
                break finding;
            }
        };
        assert_eq!(names(&there.found), ["a.link"]);
        drop(socket);
        fs::remove_file(folder.join("a.link")).unwrap();
        let gone = Finding { method: Method::Localhost, found: BTreeSet::new(), failed: None };
        assert_eq!(next(&mut told).await, gone);
    }
}
