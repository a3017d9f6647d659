//! Channels over TLS and QUIC: who proves what to whom, and what goes wrong.

use std::time::Duration;

use peerage::outcome::{CallError, LinkLost};
use peerage::transport::{Certificate, HandshakeFailure, InvalidPem, Proof, Roots, X509};
use peerage::{Address, BindError, Channel, DialError, Encoding, Identity, Listener, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::certificates::Authority;
use crate::meeting::within_limit;

const SCHEMES: [&str; 2] = ["tls", "quic"];

fn at(scheme: &str) -> Address {
    format!("{scheme}://127.0.0.1:0").parse().unwrap()
}

/// A server that adds one.
async fn serve(address: &Address, tls: X509) -> Server {
    Listener::bind(address).tls(tls).await.unwrap().serve(|n: u64| async move { Ok(n + 1) })
}

/// Why a dialler with these settings does not connect.
async fn refused(address: &Address, tls: X509) -> HandshakeFailure {
    let why = within_limit(Channel::connect(address).tls(tls)).await.unwrap_err();
    let DialError::Handshake { why, .. } = why else { panic!("{why}") };
    why
}

fn fault(why: HandshakeFailure) -> String {
    let HandshakeFailure::Certificate { why } = why else { panic!("{why}") };
    why
}

#[tokio::test]
async fn a_listener_with_a_certificate_serves_who_trusts_its_issuer() {
    let authority = Authority::new();
    for scheme in SCHEMES {
        let server = serve(&at(scheme), X509::new().show(authority.certify(&["127.0.0.1"]).certificate())).await;
        let channel = Channel::connect(server.local_address()).tls(X509::new().trust(authority.roots())).await.unwrap();
        assert_eq!(channel.request::<u64>(&1).await, Ok(2));
        let secured = channel.peer().secured.unwrap();
        let Proof::Certificate { name, der } = &secured.proof else { panic!("{secured:?}") };
        assert_eq!(name.as_deref(), Some("127.0.0.1"));
        assert!(!der.is_empty());
        if scheme == "tls" {
            assert_eq!(secured.key_exchange, Some("X25519MLKEM768"));
            assert!(secured.cipher.unwrap().starts_with("TLS13_"));
        }
        within_limit(server.close()).await;
    }
}

#[tokio::test]
async fn a_listener_that_trusts_an_issuer_serves_only_whom_that_one_vouches_for() {
    let authority = Authority::new();
    for scheme in SCHEMES {
        let own = authority.certify(&["127.0.0.1"]).certificate();
        let tls = X509::new().show(own).trust(authority.roots());
        let mut listener = Listener::bind(&at(scheme)).tls(tls).await.unwrap().encoding(Encoding::Json);
        let address = listener.local_address().clone();

        let known = X509::new().trust(authority.roots()).show(authority.certify(&["worker-7"]).certificate());
        let connecting = async { Channel::connect(&address).tls(known).await.unwrap() };
        let (_channel, accepted) = within_limit(async { tokio::join!(connecting, listener.accept()) }).await;
        let secured = accepted.peer().secured.unwrap();
        assert!(matches!(&secured.proof, Proof::Certificate { name: None, .. }), "{secured:?}");

        // A dialler is done before it is judged; whoever it turns out to be, its calls end.
        for unknown in [X509::new(), X509::new().show(Authority::new().certify(&["worker-7"]).certificate())] {
            match Channel::connect(&address).tls(unknown.trust(authority.roots())).await {
                Ok(channel) => {
                    let why = within_limit(channel.request::<u64>(&1)).await.unwrap_err();
                    assert!(matches!(why, CallError::ConnectionLost { .. } | CallError::NotSent { .. }), "{why}");
                }
                Err(why) => assert!(matches!(why, DialError::Handshake { .. }), "{why}"),
            }
        }
        let both_refused = async {
            while listener.failed_handshakes() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within_limit(both_refused).await;
    }
}

#[tokio::test]
async fn a_dialler_without_a_certificate_proves_nothing() {
    let authority = Authority::new();
    for scheme in SCHEMES {
        let tls = X509::new().show(authority.certify(&["127.0.0.1"]).certificate());
        let mut listener = Listener::bind(&at(scheme)).tls(tls).await.unwrap();
        let address = listener.local_address().clone();
        let connecting = async { Channel::connect(&address).tls(X509::new().trust(authority.roots())).await.unwrap() };
        let (_channel, accepted) = within_limit(async { tokio::join!(connecting, listener.accept()) }).await;
        assert_eq!(accepted.peer().secured.unwrap().proof, Proof::Nothing);
    }
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_named() {
    let authority = Authority::new();
    for scheme in SCHEMES {
        let trusting = || X509::new().trust(authority.roots());
        let stranger = Authority::new().certify(&["127.0.0.1"]).certificate();
        let server = serve(&at(scheme), X509::new().show(stranger)).await;
        assert_eq!(fault(refused(server.local_address(), trusting()).await), "its issuer is not trusted here");

        let past = authority.certify_the_past(&["127.0.0.1"]).certificate();
        let server = serve(&at(scheme), X509::new().show(past)).await;
        assert_eq!(fault(refused(server.local_address(), trusting()).await), "it has expired");

        let other = authority.certify(&["sums.example"]).certificate();
        let server = serve(&at(scheme), X509::new().show(other)).await;
        let why = fault(refused(server.local_address(), trusting()).await);
        assert!(why.contains("sums.example") && why.ends_with("not for 127.0.0.1"), "{why}");

        let named = trusting().server_name("sums.example").unwrap();
        let channel = Channel::connect(server.local_address()).tls(named).await.unwrap();
        assert_eq!(channel.request::<u64>(&1).await, Ok(2), "the name to look for can be given");
    }
}

#[tokio::test]
async fn a_listener_needs_something_to_show() {
    for scheme in SCHEMES {
        let why = Listener::bind(&at(scheme)).await.unwrap_err();
        assert!(matches!(why, BindError::NoCertificate { .. }), "{why}");
        assert!(why.to_string().ends_with("needs a certificate or an identity to show: give one with `.tls(…)`"));
        let why = Listener::bind(&at(scheme)).tls(X509::new()).await.unwrap_err();
        assert!(matches!(why, BindError::NoCertificate { .. }), "{why}");
    }
}

#[tokio::test]
async fn settings_of_tls_are_not_passed_over_in_silence_where_there_is_none() {
    for address in ["tcp://127.0.0.1:0", "memory://plain"] {
        let address: Address = address.parse().unwrap();
        let why = Listener::bind(&address).tls(Identity::generate()).await.unwrap_err();
        assert!(matches!(why, BindError::NotEncrypted { .. }), "{why}");
        let why = Channel::connect(&address.with_port(1)).tls(X509::new()).await.unwrap_err();
        assert!(matches!(why, DialError::NotEncrypted { .. }) && !why.may_pass(), "{why}");
    }
}

#[tokio::test]
async fn identities_prove_themselves_to_each_other() {
    for scheme in SCHEMES {
        let (listening, dialling) = (Identity::generate(), Identity::generate());
        let mut listener = Listener::bind(&at(scheme)).tls(listening.clone()).await.unwrap().encoding(Encoding::Json);
        let address = listener.local_address().clone().with_node(listening.id());
        let connecting = async { Channel::connect(&address).tls(dialling.clone()).await.unwrap() };
        let (channel, accepted) = within_limit(async { tokio::join!(connecting, listener.accept()) }).await;
        assert_eq!(channel.peer().secured.unwrap().proof, Proof::Key(listening.id()));
        assert_eq!(accepted.peer().secured.unwrap().proof, Proof::Key(dialling.id()));

        let wrong = listener.local_address().clone().with_node(dialling.id());
        let why = Channel::connect(&wrong).tls(dialling.clone()).await.unwrap_err();
        assert!(matches!(why, DialError::IdentityMismatch { found, .. } if found == listening.id()), "{why}");
    }
}

#[tokio::test]
async fn a_node_can_be_asked_for_only_where_keys_are_shown() {
    let node = Identity::generate().id();
    for address in [at("tls"), at("quic"), at("tcp")] {
        let address = address.with_port(1).with_node(node);
        let why = Channel::connect(&address).await.unwrap_err();
        assert!(matches!(why, DialError::IdentityNeeded { .. }) && !why.may_pass(), "{why}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_no_end() {
    let authority = Authority::new();
    let server = serve(&at("tls"), X509::new().show(authority.certify(&["127.0.0.1"]).certificate())).await;
    let to = server.local_address().clone();
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tls(relay.local_addr().unwrap());
    let (cut, cutting) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut here, _) = relay.accept().await.unwrap();
        let mut there = TcpStream::connect((to.host().unwrap().ip().unwrap(), to.port().unwrap())).await.unwrap();
        let carry = tokio::io::copy_bidirectional(&mut here, &mut there);
        tokio::select! { _ = carry => {}, _ = cutting => {} }
        // An end of TCP that TLS knows nothing of.
        here.shutdown().await.unwrap();
        let _ = here.read(&mut [0; 64]).await;
    });
    let channel = Channel::connect(&address).tls(X509::new().trust(authority.roots())).await.unwrap();
    assert_eq!(channel.request::<u64>(&1).await, Ok(2));
    cut.send(()).unwrap();
    let why = within_limit(channel.ended()).await;
    assert_eq!(why, LinkLost::Broken("the connection was cut without the goodbye of TLS".to_owned()));
}

#[tokio::test]
async fn a_listener_that_speaks_no_tls_is_named_as_such() {
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = listener.local_address().port().unwrap();
    let server = listener.serve(|n: u64| async move { Ok(n) });
    let address: Address = format!("tls://127.0.0.1:{port}").parse().unwrap();
    let why = refused(&address, X509::new().trust(Authority::new().roots())).await;
    assert!(matches!(why, HandshakeFailure::Closed | HandshakeFailure::NotTls), "{why}");
    within_limit(server.close()).await;
}

#[test]
fn each_kind_of_wrong_pem_has_its_error() {
    let authority = Authority::new();
    let (ours, other) = (authority.certify(&["a.example"]), authority.certify(&["b.example"]));
    let certificate = |chain: &str, key: &str| Certificate::pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(Roots::pem(b"").unwrap_err(), InvalidPem::NoCertificate);
    assert_eq!(Roots::pem(ours.key.as_bytes()).unwrap_err(), InvalidPem::NoCertificate);
    assert_eq!(certificate("", &ours.key), InvalidPem::NoCertificate);
    assert_eq!(certificate(&ours.chain, ""), InvalidPem::NoKey);
    assert_eq!(certificate(&ours.chain, &ours.chain), InvalidPem::NoKey);
    assert_eq!(certificate(&ours.chain, &other.key), InvalidPem::OtherKey);

    let begin = "-----BEGIN CERTIFICATE-----\n";
    let malformed = format!("{begin}!!!\n-----END CERTIFICATE-----\n");
    assert!(matches!(Roots::pem(malformed.as_bytes()), Err(InvalidPem::Malformed { .. })));
    let empty = format!("{begin}AAAA\n-----END CERTIFICATE-----\n");
    assert!(matches!(Roots::pem(empty.as_bytes()), Err(InvalidPem::Certificate { .. })));
    assert!(matches!(certificate(&empty, &ours.key), InvalidPem::Certificate { .. }));
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(certificate(&ours.chain, no_key), InvalidPem::Key { .. }));
}

#[test]
fn a_name_that_no_certificate_can_hold_is_refused() {
    let why = X509::new().server_name("two words").unwrap_err();
    assert_eq!(why.to_string(), "`two words` is neither a host name nor an IP address");
}

#[test]
fn debug_output_shows_no_key() {
    let pem = Authority::new().certify(&["a.example"]);
    assert_eq!(format!("{:?}", pem.certificate()), "Certificate(chain of 1)");
    assert_eq!(format!("{:?}", Roots::system()), "Roots(system)");
}

mod the_systems_certificates {
    use super::*;

    /// What the system trusts is read once for each process, and where from is told to it by its environment. So each of
    /// these runs in a process of its own.
    fn in_a_process(test: &str, trusted: &std::path::Path) {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &format!("secured::the_systems_certificates::{test}"),
                "--ignored",
                "--test-threads",
                "1",
            ])
            .env("SSL_CERT_FILE", trusted)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn are_believed_unless_said_otherwise() {
        let authority = Authority::new();
        let directory = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        let own = authority.certify(&["127.0.0.1"]);
        for (name, text) in [("trusted.pem", authority.pem()), ("chain.pem", &own.chain), ("key.pem", &own.key)] {
            write(name, text);
        }
        in_a_process("are_believed_here", &directory.path().join("trusted.pem"));
    }

    #[tokio::test]
    #[ignore = "started in a process of its own by the test above"]
    async fn are_believed_here() {
        let trusted = std::path::PathBuf::from(std::env::var_os("SSL_CERT_FILE").unwrap());
        let read = |name: &str| std::fs::read(trusted.with_file_name(name)).unwrap();
        let own = Certificate::pem(&read("chain.pem"), &read("key.pem")).unwrap();
        for scheme in SCHEMES {
            let server = serve(&at(scheme), X509::new().show(own.clone())).await;
            let channel = Channel::connect(server.local_address()).await.unwrap();
            assert_eq!(channel.request::<u64>(&1).await, Ok(2));
        }
    }

    #[test]
    fn are_missed_where_there_are_none() {
        let directory = tempfile::TempDir::new().unwrap();
        in_a_process("are_missed_here", &directory.path().join("none.pem"));
    }

    #[tokio::test]
    #[ignore = "started in a process of its own by the test above"]
    async fn are_missed_here() {
        let why = refused(&"tls://127.0.0.1:1".parse().unwrap(), X509::new()).await;
        assert!(matches!(why, HandshakeFailure::NoRoots), "{why}");
        let own = Authority::new().certify(&["127.0.0.1"]).certificate();
        let asking = X509::new().show(own).trust(Roots::system());
        let why = Listener::bind(&at("tls")).tls(asking).await.unwrap_err();
        assert!(matches!(why, BindError::NoRoots { .. }), "{why}");
    }
}
