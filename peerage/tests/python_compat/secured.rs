//! Real aiomas with `ssl=`, in both directions: ordinary certificates, which each end asks the other for.

use std::fs;
use std::path::PathBuf;

use peerage::transport::{Proof, X509};
use peerage::{Address, Channel, Encoding, Listener};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::certificates::{Authority, Pem};
use crate::checks::{Checks, STEP, within};
use crate::place::in_python;
use crate::python::Python;
use crate::real_client::{opened_and_written_anew, passed};
use crate::real_server::{
    failures_are_told, many_and_large_ones_too, replies_overtake_each_other, the_server_asks_back, values_come_back,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_is_served_over_tls() {
    let Some(python) = Python::ready() else { return };
    for (encoding, wanted) in [(Encoding::Json, 59), (Encoding::MsgPack, 65)] {
        let mut checks = Checks::of(format!("aiomas asks over TLS, {encoding}"));
        let papers = Papers::new();
        let address: Address = "tls://127.0.0.1:0".parse().unwrap();
        let tls = X509::new().show(papers.ours.certificate()).trust(papers.authority.roots());
        let server =
            Listener::bind(&address.with_codec(encoding)).tls(tls).await.unwrap().serve(opened_and_written_anew);
        let (address, codec) = (in_python(server.local_address()), encoding.to_string());
        let client = python.start(
            "aiomas_client.py",
            &[&address, &codec, "--echo-only", "--ca", &papers.authority_file(), "--cert", &papers.their_file()],
        );
        checks.made_elsewhere(passed(client, wanted).await);
        checks.report();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_answers_over_tls() {
    let Some(python) = Python::ready() else { return };
    for encoding in Encoding::ALL {
        let mut checks = Checks::of(format!("aiomas answers over TLS, {encoding}"));
        let papers = Papers::new();
        let (codec, authority, theirs) = (encoding.to_string(), papers.authority_file(), papers.their_file());
        let arguments = ["127.0.0.1:0", &codec, "--quiet", "--cert", &theirs, "--ca", &authority];
        let mut process = python.start("aiomas_server.py", &arguments);
        let ready: Json = serde_json::from_str(&process.line(2 * STEP).expect("it is ready")).unwrap();
        let address: Address = format!("tls://{}", ready["address"].as_str().unwrap()).parse().unwrap();

        let tls = X509::new().show(papers.ours.certificate()).trust(papers.authority.roots());
        let connecting = Channel::connect(&address).encoding(encoding).tls(tls);
        let mut channel = within("connecting", connecting).await.unwrap();
        let secured = channel.peer().secured.unwrap();
        checks.holds("the server has shown its certificate", matches!(secured.proof, Proof::Certificate { .. }));
        values_come_back(&mut checks, &channel, encoding).await;
        many_and_large_ones_too(&mut checks, &channel).await;
        failures_are_told(&mut checks, &channel).await;
        replies_overtake_each_other(&mut checks, &channel).await;
        the_server_asks_back(&mut checks, &mut channel).await;
        channel.close().await;
        checks.report();
    }
}

/// Certificates of both ends by one authority, as values for us and as files for Python.
struct Papers {
    authority: Authority,
    ours: Pem,
    folder: TempDir,
}

impl Papers {
    fn new() -> Papers {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a temporary folder"));
        let theirs = authority.certify(&["127.0.0.1"]);
        fs::write(folder.path().join("authority.pem"), authority.pem()).unwrap();
        fs::write(folder.path().join("theirs.pem"), theirs.chain + &theirs.key).unwrap();
        Papers { ours: authority.certify(&["127.0.0.1"]), authority, folder }
    }

    fn authority_file(&self) -> String {
        text(self.folder.path().join("authority.pem"))
    }

    fn their_file(&self) -> String {
        text(self.folder.path().join("theirs.pem"))
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("a path of a test is text")
}
