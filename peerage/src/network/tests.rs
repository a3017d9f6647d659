use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Barrier;
use std::thread;

use super::*;
use crate::private_file::Damage;

fn lab() -> Network {
    Network::new("lab", Secret::generate()).unwrap()
}

#[test]
fn a_seed_counts_once_and_there_is_a_limit() {
    let mut network = lab();
    for port in 1..=64 {
        let seed: Address = format!("tls://node.lab:{port}").parse().unwrap();
        network = network.with_seed(seed.clone()).unwrap().with_seed(seed).unwrap();
    }
    assert_eq!(network.seeds().len(), 64);
    assert_eq!(network.with_seed("tls://other.lab".parse().unwrap()).unwrap_err(), TooManySeeds);
}

#[test]
fn long_seeds_are_limited_by_their_text() {
    let long = |port: u16| format!("tls://h:{port}?services={}", "s".repeat(200)).parse().unwrap();
    let mut network = lab();
    for port in 1_000..1_018 {
        network = network.with_seed(long(port)).unwrap();
    }
    assert_eq!(network.with_seed(long(2_000)).unwrap_err(), TooManySeeds);
}

#[test]
fn debug_output_holds_nothing_of_the_secret() {
    assert_eq!(format!("{:?}", lab()), "Network { name: \"lab\", secret: Secret(…), seeds: [] }");
}

#[test]
fn a_network_file_is_private_from_birth_and_read_back() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("networks/lab.network");
    let network = lab().with_seed("tls://node-7.lab".parse().unwrap()).unwrap();
    network.create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    let opened = Network::open(&path).unwrap();
    assert_eq!(opened.secret().as_bytes(), network.secret().as_bytes());
    assert_eq!((opened.name(), opened.seeds()), (network.name(), network.seeds()));
    assert!(matches!(lab().create(&path), Err(PrivateFileError::Exists { .. })));
}

#[test]
fn a_damaged_network_file_says_what_is_wrong_with_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("lab.network");
    fs::write(&path, "hello").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let why = Network::open(&path).unwrap_err();
    assert!(
        matches!(why, PrivateFileError::Damaged { why: Damage::Kind { wanted: "ticket", found: None }, .. }),
        "{why}"
    );
}

#[test]
fn sixteen_that_make_the_same_network_at_once_agree_on_one() {
    for _ in 0..20 {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("networks/local.network");
        let start = Barrier::new(16);
        let secrets: Vec<Vec<u8>> = thread::scope(|scope| {
            let one = || {
                start.wait();
                Network::open_or_create(&path, lab).unwrap().secret().as_bytes().to_vec()
            };
            let all: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary is left behind: {left:?}");
    }
}
