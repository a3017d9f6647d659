//! What is special to one transport, and dialling again and again.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;

use super::suite::{PATIENCE, memory, tcp, unix};
use super::*;

fn read(text: &str) -> Address {
    text.parse().unwrap()
}

fn path(address: &Address) -> PathBuf {
    address.path().unwrap().to_owned()
}

async fn connect(listening: &mut Listening) -> (Connection, Connection) {
    let address = listening.local_address().clone();
    let (dialled, accepted) = tokio::join!(dial(&address, None, PATIENCE), listening.accept());
    (dialled.unwrap(), accepted)
}

/// A socket file whose listener is gone, as a killed process leaves it.
fn leave_behind(address: &Address) {
    drop(StdUnixListener::bind(path(address)).unwrap());
    assert!(path(address).exists());
}

mod unix_sockets {
    use super::*;

    #[tokio::test]
    async fn the_file_is_of_its_owner_alone_and_goes_with_the_listener() {
        let place = unix();
        let listening = listen(&place.address, None).await.unwrap();
        let file = fs::metadata(path(&place.address)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        drop(listening);
        assert!(!path(&place.address).exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_file_is_private_from_its_birth() {
        use rustix::fs::Mode;
        use socket2::{Domain, SockAddr, Socket, Type};

        // The system's behaviour that `unix::bind` relies on, without the step that repairs the mode elsewhere.
        let place = unix();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).unwrap();
        socket.bind(&SockAddr::unix(path(&place.address)).unwrap()).unwrap();
        let mode = fs::metadata(path(&place.address)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }

    #[tokio::test]
    async fn a_stale_file_is_told_from_a_missing_one_when_dialling() {
        let place = unix();
        let why = dial(&place.address, None, PATIENCE).await.unwrap_err();
        assert!(matches!(why, DialError::NotFound { .. }), "{why}");
        leave_behind(&place.address);
        let why = dial(&place.address, None, PATIENCE).await.unwrap_err();
        assert!(matches!(why, DialError::StaleSocket { .. }), "{why}");
    }

    #[tokio::test]
    async fn a_stale_file_is_replaced_when_listening() {
        let place = unix();
        leave_behind(&place.address);
        let mut listening = listen(&place.address, None).await.unwrap();
        connect(&mut listening).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_who_replace_a_stale_file_at_once_exactly_one_listens() {
        for _ in 0..20 {
            let place = unix();
            leave_behind(&place.address);
            let mut contenders = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let address = place.address.clone();
                contenders.spawn(async move { listen(&address, None).await });
            }
            let (won, lost): (Vec<_>, Vec<_>) = contenders.join_all().await.into_iter().partition(Result::is_ok);
            assert_eq!(won.len(), 1);
            assert!(lost.iter().all(|why| matches!(why, Err(BindError::AddressInUse { .. }))), "{lost:?}");
            assert!(dial(&place.address, None, PATIENCE).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let place = unix();
        fs::write(path(&place.address), "precious").unwrap();
        let why = listen(&place.address, None).await.unwrap_err();
        assert!(matches!(why, BindError::NotASocket { .. }), "{why}");
        assert!(why.to_string().ends_with("another kind of file: remove it, or choose another path"), "{why}");
        let why = dial(&place.address, None, PATIENCE).await.unwrap_err();
        assert!(matches!(why, DialError::NotASocket { .. }), "{why}");
        assert_eq!(fs::read_to_string(path(&place.address)).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_link_to_a_stale_socket_is_left_alone() {
        let (place, elsewhere) = (unix(), unix());
        leave_behind(&elsewhere.address);
        symlink(path(&elsewhere.address), path(&place.address)).unwrap();
        let why = listen(&place.address, None).await.unwrap_err();
        assert!(matches!(why, BindError::NotASocket { .. }), "{why}");
        assert!(path(&elsewhere.address).exists());
    }

    #[tokio::test]
    async fn a_file_that_has_taken_the_place_of_ours_is_not_removed() {
        let place = unix();
        let listening = listen(&place.address, None).await.unwrap();
        fs::rename(path(&place.address), place.directory.as_ref().unwrap().path().join("moved")).unwrap();
        fs::write(path(&place.address), "precious").unwrap();
        drop(listening);
        assert_eq!(fs::read_to_string(path(&place.address)).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_refused_at_both_ends() {
        let directory = tempfile::TempDir::new().unwrap();
        let room = 107 - directory.path().as_os_str().len() - 1;
        let longest = Address::unix(directory.path().join("x".repeat(room))).unwrap();
        connect(&mut listen(&longest, None).await.unwrap()).await;

        let too_long = Address::unix(directory.path().join("x".repeat(room + 1))).unwrap();
        let why = listen(&too_long, None).await.unwrap_err();
        assert!(matches!(why, BindError::PathTooLong { .. }), "{why}");
        let why = dial(&too_long, None, PATIENCE).await.unwrap_err();
        assert!(matches!(why, DialError::PathTooLong { .. }), "{why}");
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let place = unix();
        let below = Address::unix(path(&place.address).join("b.sock")).unwrap();
        let why = listen(&below, None).await.unwrap_err();
        assert!(matches!(why, BindError::NoDirectory { .. }), "{why}");
        fs::write(path(&place.address), "a file, no directory").unwrap();
        let why = listen(&below, None).await.unwrap_err();
        assert!(matches!(why, BindError::NoDirectory { .. }), "{why}");
    }

    #[tokio::test]
    async fn each_end_knows_who_the_other_is() {
        let place = unix();
        let mut listening = listen(&place.address, None).await.unwrap();
        let (near, far) = connect(&mut listening).await;
        let expected = UnixCredentials {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            pid: Some(std::process::id() as i32),
        };
        assert_eq!([near.credentials, far.credentials], [Some(expected); 2]);
    }
}

mod ports {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_left_for_the_next_free_one_only_when_asked() {
        let first = listen(&tcp().address, None).await.unwrap();
        let taken = first.local_address().clone();
        let port = taken.port().unwrap();

        let why = listen(&taken, None).await.unwrap_err();
        assert_eq!(why.to_string(), format!("{taken} is in use: choose another port, port 0, or ?next=N"));

        let asking = read(&format!("{taken}?next=2"));
        let second = listen(&asking, None).await.unwrap();
        let third = listen(&asking, None).await.unwrap();
        assert_eq!(*second.local_address(), taken.clone().with_port(port + 1));
        assert_eq!(*third.local_address(), taken.clone().with_port(port + 2));

        let why = listen(&asking, None).await.unwrap_err();
        let text = "the next 2 ports are in use: choose another port, port 0, or a larger ?next=N";
        assert_eq!(why.to_string(), format!("{taken} and {text}"));
    }

    #[tokio::test]
    async fn moving_on_stops_at_the_last_port() {
        let last = tcp().address.with_port(u16::MAX);
        let _taken = listen(&last, None).await.unwrap();
        let why = listen(&read(&format!("{last}?next=9")), None).await.unwrap_err();
        assert!(matches!(why, BindError::AddressInUse { .. }), "{why}");
    }

    #[tokio::test]
    async fn a_listener_of_both_families_sees_an_ipv4_peer_as_such() {
        let Ok(mut listening) = listen(&read("[::]:0"), None).await else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        let port = listening.local_address().port().unwrap();
        let address = read("127.0.0.1").with_port(port);
        let (near, far) = tokio::join!(dial(&address, None, PATIENCE), listening.accept());
        assert_eq!(far.remote, near.unwrap().local);
        assert_eq!(far.local, address);
    }

    #[tokio::test]
    async fn a_name_is_resolved_at_both_ends() {
        let mut listening = listen(&read("localhost:0"), None).await.unwrap();
        let address = read("localhost").with_port(listening.local_address().port().unwrap());
        let (near, _) = tokio::join!(dial(&address, None, PATIENCE), listening.accept());
        near.unwrap();

        let unknown = read("no-such-host.invalid");
        let why = dial(&unknown, None, PATIENCE).await.unwrap_err();
        assert!(matches!(&why, DialError::Resolve { host, .. } if host == "no-such-host.invalid"), "{why}");
        let why = listen(&unknown, None).await.unwrap_err();
        assert!(matches!(why, BindError::Resolve { .. }), "{why}");
    }

    #[tokio::test]
    async fn the_host_of_a_listener_must_be_this_machine() {
        let why = listen(&read("192.0.2.1:0"), None).await.unwrap_err();
        assert!(matches!(why, BindError::NotLocal { .. }), "{why}");
    }
}

mod errors {
    use super::*;

    #[tokio::test]
    async fn what_is_for_listening_cannot_be_dialled() {
        for text in ["127.0.0.1:0", "127.0.0.1:1?next=3"] {
            let why = dial(&read(text), None, PATIENCE).await.unwrap_err();
            assert!(matches!(why, DialError::ListeningOnly { .. }), "{why}");
        }
    }

    #[test]
    fn denied_and_other_failures_keep_their_cause() {
        let address = read("unix:///x");
        let why = DialError::from_io(&address, io::ErrorKind::PermissionDenied.into());
        assert!(matches!(why, DialError::Denied { .. }), "{why}");
        let why = DialError::from_io(&address, io::ErrorKind::NetworkUnreachable.into());
        assert!(matches!(why, DialError::Io { .. }), "{why}");
        let why = BindError::from_io(&address, io::ErrorKind::PermissionDenied.into());
        assert!(matches!(why, BindError::Denied { .. }), "{why}");
        let why = BindError::from_io(&address, io::ErrorKind::OutOfMemory.into());
        assert_eq!(why.to_string(), "cannot listen at unix:///x: out of memory");
    }

    #[test]
    fn errors_of_one_connection_are_passed_over_and_others_make_accepting_rest() {
        use rustix::io::Errno;

        for passed_over in [Errno::CONNABORTED, Errno::CONNRESET, Errno::INTR] {
            assert!(tally::concerns_one_connection(&passed_over.into()), "{passed_over}");
        }
        for resting in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL] {
            assert!(!tally::concerns_one_connection(&resting.into()), "{resting}");
        }
    }
}

mod dialling_until_a_deadline {
    use super::*;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn without_retry_one_attempt_is_made() {
        let start = Instant::now();
        let why = dial_until(&memory().address, None, start + TEN_SECONDS, false).await.unwrap_err();
        assert!(matches!(why, DialError::Refused { .. }), "{why}");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn with_retry_the_last_error_comes_exactly_at_the_deadline() {
        for millis in [0, 1, 199, 200, 201, 1_000, 10_000, 600_000] {
            let (start, patience) = (Instant::now(), Duration::from_millis(millis));
            let why = dial_until(&memory().address, None, start + patience, true).await.unwrap_err();
            assert!(matches!(why, DialError::Refused { .. }), "{why}");
            assert_eq!(start.elapsed(), patience);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_appears_late_is_found_before_the_deadline() {
        let place = memory();
        let deadline = Instant::now() + TEN_SECONDS;
        let listener = async {
            sleep_until(deadline - Duration::from_millis(201)).await;
            listen(&place.address, None).await.unwrap().accept().await
        };
        let (dialled, _) = tokio::join!(dial_until(&place.address, None, deadline, true), listener);
        dialled.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_pass_is_not_tried_again() {
        let start = Instant::now();
        for text in ["tls://127.0.0.1:0", "127.0.0.1:0"] {
            dial_until(&read(text), None, start + TEN_SECONDS, true).await.unwrap_err();
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_ends_when_its_time_is_over() {
        let place = memory();
        let _listening = listen(&place.address, None).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..super::super::memory::QUEUE {
            waiting.push(dial(&place.address, None, PATIENCE).await.unwrap());
        }
        let start = Instant::now();
        let why = dial_until(&place.address, None, start + TEN_SECONDS, false).await.unwrap_err();
        assert!(matches!(why, DialError::TimedOut { after: TEN_SECONDS, .. }), "{why}");
        assert_eq!(start.elapsed(), TEN_SECONDS);
    }

    #[tokio::test]
    async fn a_missing_and_a_stale_socket_and_a_closed_port_are_tried_again() {
        let (missing, stale) = (unix(), unix());
        leave_behind(&stale.address);
        let port = tcp();
        let closed = listen(&port.address, None).await.unwrap().local_address().clone();
        for address in [&missing.address, &stale.address, &closed] {
            assert!(dial(address, None, PATIENCE).await.unwrap_err().may_pass());
            let dialling = dial_until(address, None, Instant::now() + PATIENCE, true);
            tokio::pin!(dialling);
            // The listener starts only after the first attempt has failed.
            assert!(timeout(Duration::from_millis(100), &mut dialling).await.is_err());
            let mut listening = listen(address, None).await.unwrap();
            let (dialled, _) = tokio::join!(dialling, listening.accept());
            dialled.unwrap();
        }
    }
}

mod out_of_descriptors {
    use super::*;

    const CHILD: &str = "transport::tests::out_of_descriptors::accepting_outlives_a_lack_of_descriptors_here";

    /// The limit holds for a whole process, so this runs in one of its own.
    #[test]
    fn accepting_outlives_a_lack_of_descriptors() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored", "--test-threads", "1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[tokio::test]
    #[ignore = "started in a process of its own by the test above"]
    async fn accepting_outlives_a_lack_of_descriptors_here() {
        use rustix::process::{Resource, Rlimit, setrlimit};

        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
        for place in [tcp(), unix()] {
            let mut listening = listen(&place.address, None).await.unwrap();
            let address = listening.local_address().clone();
            let mut hoard = Vec::new();
            while let Ok(file) = fs::File::open("/dev/null") {
                hoard.push(file);
            }
            hoard.pop(); // for our end; none is left for the end to be accepted
            let near = dial(&address, None, PATIENCE).await.unwrap();

            assert!(timeout(Duration::from_millis(300), listening.accept()).await.is_err());
            let errors = listening.tally().errors();
            assert!((1..=7).contains(&errors), "at most one each 50 ms, not {errors}");

            drop(hoard);
            let far = timeout(PATIENCE, listening.accept()).await.unwrap();
            assert_eq!(far.remote, near.local);
        }
    }
}
