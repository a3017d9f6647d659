use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    set_mode(home.path(), 0o700);
    home
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn read(path: &Path) -> Result<String, PrivateFileError> {
    let (folder, name) = Folder::private_of_if_there(path)?;
    folder.read(&name).map(|text| text.to_string())
}

fn create(path: &Path, text: &str) -> Result<(), PrivateFileError> {
    let (folder, name) = Folder::private_of(path)?;
    folder.create(&name, text.as_bytes())
}

#[test]
fn what_others_could_have_read_or_written_is_refused_with_the_remedy() {
    let home = home();
    let path = home.path().join("a");
    for mode in [0o640, 0o604, 0o644, 0o620, 0o666, 0o601] {
        fs::write(&path, "x").unwrap();
        set_mode(&path, mode);
        let why = read(&path).unwrap_err();
        assert!(matches!(why, PrivateFileError::FileOpenToOthers { mode: found, .. } if found == mode), "{why}");
        assert!(why.to_string().contains(&format!("(mode {mode:04o})")), "{why}");
        assert!(why.to_string().contains(&format!("`chmod 600 {}`", path.display())), "{why}");
    }
    set_mode(&path, 0o600);
    assert_eq!(read(&path).unwrap(), "x");
}

#[test]
fn a_directory_that_others_may_enter_is_refused_with_the_remedy() {
    let home = home();
    let folder = home.path().join("keys");
    private_folder(&folder).unwrap();
    create(&folder.join("a"), "x").unwrap();
    for mode in [0o750, 0o705, 0o777, 0o710] {
        set_mode(&folder, mode);
        for why in [read(&folder.join("a")).unwrap_err(), private_folder(&folder).unwrap_err()] {
            assert!(matches!(why, PrivateFileError::FolderOpenToOthers { mode: found, .. } if found == mode), "{why}");
            assert!(why.to_string().ends_with(&format!("`chmod 700 {}`", folder.display())), "{why}");
        }
    }
}

#[test]
fn what_is_no_plain_file_of_that_name_is_refused() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    create(&at("real"), "x").unwrap();
    symlink(at("real"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, PRIVATE, 0).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    assert!(matches!(read(&at("link")), Err(PrivateFileError::Symlink { .. })));
    assert!(matches!(read(&at("dangling")), Err(PrivateFileError::Symlink { .. })));
    assert!(matches!(read(&at("missing")), Err(PrivateFileError::NotFound { .. })));
    assert!(matches!(read(&at("missing/too")), Err(PrivateFileError::NotFound { .. })));
    for name in ["folder", "fifo", "socket", ".."] {
        let why = read(&at(name)).unwrap_err();
        assert!(matches!(why, PrivateFileError::NotAFile { .. }), "{name}: {why}");
    }
    drop(socket);
}

#[test]
fn what_is_no_directory_is_refused() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    fs::write(at("file"), "x").unwrap();
    private_folder(&at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    assert!(matches!(private_folder(&at("file")), Err(PrivateFileError::NotAFolder { .. })));
    assert!(matches!(private_folder(&at("link")), Err(PrivateFileError::Symlink { .. })));
    assert!(matches!(private_folder(&at("file/below")), Err(PrivateFileError::Io { .. })));
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let home = home();
    let path = home.path().join("keys/a");
    create(&path, "x").unwrap();
    if let Err(why) = std::os::unix::fs::chown(&path, Some(4711), None) {
        eprintln!("skipped: only root can give files away ({why})");
        return;
    }
    let why = read(&path).unwrap_err();
    assert!(matches!(why, PrivateFileError::Foreign { owner: 4711, .. }), "{why}");
    assert!(why.to_string().contains("`chown "), "{why}");
    std::os::unix::fs::chown(path.parent().unwrap(), Some(4711), None).unwrap();
    assert!(matches!(create(&path.with_file_name("b"), "x"), Err(PrivateFileError::Foreign { .. })));
}

#[test]
fn directories_are_made_private_and_existing_ones_above_are_left_alone() {
    let home = home();
    let above = home.path().join("above");
    fs::create_dir(&above).unwrap();
    set_mode(&above, 0o755);
    private_folder(&above.join("one/two")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!([mode(&above), mode(&above.join("one")), mode(&above.join("one/two"))], [0o755, 0o700, 0o700]);
}

#[test]
fn a_file_is_made_once_and_replaced_as_a_whole() {
    let home = home();
    let path = home.path().join("a");
    create(&path, "one").unwrap();
    assert!(matches!(create(&path, "two"), Err(PrivateFileError::Exists { .. })));
    assert_eq!(read(&path).unwrap(), "one");
    let (folder, name) = Folder::private_of(&path).unwrap();
    folder.replace(&name, b"three").unwrap();
    assert_eq!(read(&path).unwrap(), "three");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_file_system_that_refuses_is_quoted() {
    let home = home();
    let long = home.path().join("x".repeat(300));
    let why = create(&long, "x").unwrap_err();
    assert!(matches!(why, PrivateFileError::Io { doing: "make a file in", .. }), "{why}");
}

#[test]
fn this_process_dumps_no_core_once_it_read_a_secret() {
    let home = home();
    create(&home.path().join("a"), "x").unwrap();
    read(&home.path().join("a")).unwrap();
    #[cfg(target_os = "linux")]
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
    #[cfg(not(target_os = "linux"))]
    assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));
}

/// T30: somebody who can place links in the directory (a mistake of ours, or an older mode) gets nothing written outside
/// and nothing read from outside.
#[test]
fn ten_thousand_races_with_a_symbolic_link_neither_write_nor_read_elsewhere() {
    // In memory where there is such a place: ten thousand files that are safe on disk would take minutes.
    let fast = ["/dev/shm", "/tmp"].into_iter().find(|place| Path::new(place).is_dir()).unwrap();
    let (home, outside) = (tempfile::tempdir_in(fast).unwrap(), home());
    set_mode(home.path(), 0o700);
    let (path, victim) = (home.path().join("a"), outside.path().join("victim"));
    fs::write(&victim, "victim").unwrap();
    set_mode(&victim, 0o600);
    let done = AtomicBool::new(false);
    let (mut linked, mut made) = (0_u32, 0_u32);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = symlink(&victim, &path);
                let _ = fs::remove_file(&path);
            }
        });
        // However this ends: the other thread would never do so.
        let _end = AtEnd(|| done.store(true, Ordering::Relaxed));
        for _ in 0..10_000 {
            match create(&path, "ours") {
                Ok(()) => made += 1,
                Err(PrivateFileError::Exists { .. }) => linked += 1,
                Err(why) => panic!("{why}"),
            }
            match read(&path) {
                Ok(text) => assert_eq!(text, "ours"),
                Err(PrivateFileError::Symlink { .. } | PrivateFileError::NotFound { .. }) => {}
                Err(why) => panic!("{why}"),
            }
        }
    });
    assert_eq!(fs::read_to_string(&victim).unwrap(), "victim");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(linked > 0 && made > 0, "both happened: {linked} times a link was there first, {made} times it was not");
}

/// Does something when it is dropped, in a panic too.
struct AtEnd<F: Fn()>(F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
