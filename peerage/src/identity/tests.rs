use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use peerage_proto::keys::{Ed25519, Verifier as _};

use super::*;
use crate::private_file::Damage;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

/// A path in a directory that is removed at the end.
fn somewhere() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity/a.key");
    (home, path)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn keys_and_signatures_are_those_of_rfc_8032() {
    // §7.1, test 2.
    let identity = Identity::from_seed(&hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
    let public: [u8; 32] = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_eq!(identity.id().as_bytes(), &public);
    let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                     085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(identity.sign(&[0x72]), hex::<64>(signature));
    let signer: &dyn Signer = &identity;
    assert!(Ed25519.verify(&signer.id(), b"message", &signer.sign(b"message")));
}

#[test]
fn no_two_generated_identities_are_the_same() {
    assert_ne!(Identity::generate().id(), Identity::generate().id());
}

#[test]
fn debug_output_holds_the_id_and_nothing_of_the_secret() {
    let identity = Identity::from_seed(&[7; 32]);
    assert_eq!(format!("{identity:?}"), format!("Identity({:?})", identity.id()));
}

#[test]
fn a_key_file_is_private_from_birth_and_holds_one_identity() {
    let (_home, path) = somewhere();
    let id = Identity::create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(Identity::open(&path).unwrap().id(), id);
    assert_eq!(Identity::open_or_create(&path).unwrap().id(), id);
    assert!(matches!(Identity::create(&path), Err(PrivateFileError::Exists { .. })));
}

#[test]
fn a_key_is_held_by_one_until_its_last_clone_is_dropped() {
    let (_home, path) = somewhere();
    let first = Identity::open_or_create(&path).unwrap();
    let clone = first.clone();
    drop(first);
    let us = std::process::id();
    let why = Identity::open(&path).unwrap_err();
    assert!(matches!(why, PrivateFileError::InUse { pid: Some(pid), .. } if pid == us), "{why}");
    assert_eq!(KeyInfo::read(&path).unwrap(), KeyInfo { id: clone.id(), in_use_by: Some(us) });
    let id = clone.id();
    drop(clone);
    assert_eq!(KeyInfo::read(&path).unwrap(), KeyInfo { id, in_use_by: None });
    assert_eq!(Identity::open(&path).unwrap().id(), id);
}

#[test]
fn sixteen_that_make_the_same_key_at_once_agree_on_one_and_one_holds_it() {
    for _ in 0..20 {
        let (_home, path) = somewhere();
        let (start, end) = (Barrier::new(16), Barrier::new(16));
        let one = || {
            start.wait();
            let identity = Identity::open_or_create(&path);
            end.wait();
            identity.is_ok()
        };
        let held = thread::scope(|scope| {
            let all: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
            all.into_iter().map(|one| one.join().unwrap()).filter(|held| *held).count()
        });
        assert_eq!(held, 1);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary is left behind");
    }
}

#[test]
fn a_damaged_key_file_says_what_is_wrong_with_it() {
    let (_home, path) = somewhere();
    Identity::create(&path).unwrap();
    let line = fs::read_to_string(&path).unwrap();
    let short = crate::private_file::seal(crate::private_file::Kind::Key, b"short").to_string();
    let table = [
        (String::new(), Damage::Empty),
        ("x\n".to_owned(), Damage::Kind { wanted: "key", found: None }),
        ("peerage-ticket-1-x-00000000\n".to_owned(), Damage::Kind { wanted: "key", found: Some("ticket") }),
        (line[..line.len() - 4].to_owned(), Damage::Truncated),
        (line.replace("-1-", "-7-"), Damage::Version { version: 7 }),
        (short, Damage::Content),
        ("x".repeat(100_000), Damage::TooLong),
    ];
    for (text, damage) in table {
        write(&path, &text);
        let why = Identity::open(&path).unwrap_err();
        assert!(matches!(why, PrivateFileError::Damaged { why, .. } if why == damage), "{why}");
        assert!(matches!(KeyInfo::read(&path), Err(PrivateFileError::Damaged { .. })));
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    let why = Identity::open(&path).unwrap_err();
    assert!(matches!(why, PrivateFileError::Damaged { why: Damage::NotText, .. }), "{why}");
}

#[test]
fn each_epoch_is_newer_than_those_before_it() {
    let (_home, path) = somewhere();
    let mut epochs = Vec::new();
    for _ in 0..3 {
        let identity = Identity::open_or_create(&path).unwrap();
        epochs.extend((0..3).map(|_| identity.begin_epoch(0).unwrap()));
    }
    assert!(epochs.is_sorted_by(|a, b| a.start() < b.start()), "{epochs:?}");
    let in_memory = || Identity::from_seed(&[0x4e; 32]).begin_epoch(0).unwrap().start();
    assert!(in_memory() < in_memory(), "within one second too");
}

#[test]
fn a_clock_that_was_set_back_is_made_up_for_by_the_stored_counter() {
    let (_home, path) = somewhere();
    let identity = Identity::open_or_create(&path).unwrap();
    let counter = path.with_file_name("a.key.epoch");
    write(&counter, "99000000000\n");
    assert_eq!(identity.begin_epoch(0).unwrap().start(), 99_000_000_001);
    assert_eq!(identity.begin_epoch(99_000_000_500).unwrap().start(), 99_000_000_501);
    assert_eq!(fs::read_to_string(&counter).unwrap(), "99000000501\n");
    assert_eq!(fs::metadata(&counter).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_damaged_counter_is_replaced() {
    let (_home, path) = somewhere();
    let identity = Identity::open_or_create(&path).unwrap();
    let counter = path.with_file_name("a.key.epoch");
    write(&counter, "many");
    let start = identity.begin_epoch(0).unwrap().start();
    assert_eq!(fs::read_to_string(&counter).unwrap(), format!("{start}\n"));
}

#[test]
fn a_counter_that_cannot_be_stored_is_an_error_only_if_the_clock_does_not_do_its_work() {
    let (_home, path) = somewhere();
    let identity = Identity::open_or_create(&path).unwrap();
    // A directory in the way lets no file take its name.
    fs::create_dir_all(path.with_file_name("a.key.epoch/x")).unwrap();
    let start = identity.begin_epoch(0).unwrap().start();
    let why = identity.begin_epoch(start + 1_000).unwrap_err();
    assert!(matches!(why, PrivateFileError::Counter { .. }), "{why}");
    assert!(why.to_string().contains("make room, or set the clock"), "{why}");
}

#[test]
fn a_counter_at_its_end_is_an_error_that_names_the_file() {
    let (_home, path) = somewhere();
    let identity = Identity::open_or_create(&path).unwrap();
    write(&path.with_file_name("a.key.epoch"), &u64::MAX.to_string());
    let why = identity.begin_epoch(0).unwrap_err().to_string();
    assert!(why.contains("a.key.epoch") && why.contains("remove the file"), "{why}");
}
