//! The sources of addresses that one node listens to ([`crate::discovery`]).

use std::sync::Arc;

use peerage_proto::address::Address;
use peerage_proto::hello::NetworkKey;
use peerage_proto::node::Here;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::builder::Builder;
use super::start::random_bits;
use crate::discovery::{Anchors, FINDINGS_WAITING, Finding, Findings, Localhost, Mdns, Seeds, Source, Teller};
use crate::network::Network;

/// What a node is told about where others may be.
pub(super) struct Search {
    /// All that was told, and what came of it.
    pub(super) findings: Findings,
    /// Whom to remember over restarts, if anybody.
    pub(super) anchors: Option<Anchors>,
    /// What the operator named, until it is connected.
    pub(super) seeds: Vec<Address>,
    /// Sources that have not begun.
    sources: Vec<Source>,
    telling: mpsc::Sender<Finding>,
    told: mpsc::Receiver<Finding>,
    hurry: Arc<Notify>,
    leave: CancellationToken,
    looking: JoinSet<()>,
}

impl Search {
    /// The sources that were asked for. None of them looks yet.
    pub(super) fn new(builder: &Builder, network: &Network, key: &NetworkKey, here: &Here) -> Search {
        let seeds: Vec<Address> = network.seeds().iter().chain(&builder.seeds).cloned().collect();
        let hurry = Arc::new(Notify::new());
        let localhost = builder.localhost.clone().map(|folder| Localhost::new(folder, here.listening.clone()));
        let mdns = builder.mdns.then(|| Mdns::new(key.clone(), &here.listening, random_bits));
        let (anchors, remembered) = builder.anchors.clone().map(Anchors::open).unzip();
        let sources: Vec<Source> = Seeds::new(&seeds, hurry.clone())
            .map(Source::Seeds)
            .into_iter()
            .chain(localhost.map(Source::Localhost))
            .chain(mdns.map(Source::Mdns))
            .chain(remembered.map(Source::Anchors))
            .collect();
        let (telling, told) = mpsc::channel(FINDINGS_WAITING);
        let findings = Findings::new(sources.iter().map(Source::method), &seeds);
        let (leave, looking) = (CancellationToken::new(), JoinSet::new());
        Search { findings, anchors, seeds, sources, telling, told, hurry, leave, looking }
    }

    /// Has all of them begin.
    pub(super) fn begin(&mut self) {
        for source in self.sources.drain(..) {
            let teller = Teller::new(source.method(), self.telling.clone());
            self.looking.spawn(source.run(teller, self.leave.clone()).in_current_span());
        }
    }

    /// Nobody is looked for any more, and nothing announced.
    pub(super) fn leave(&self) {
        self.leave.cancel();
    }

    /// Returns when what was announced is taken back.
    pub(super) async fn ended(&mut self) {
        self.leave();
        self.told.close();
        // Each of them is bounded by what a goodbye may take.
        while self.looking.join_next().await.is_some() {}
    }

    /// What the next source tells.
    pub(super) async fn next(&mut self) -> Option<Finding> {
        self.told.recv().await
    }

    /// Something has changed so much that all should look again.
    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }
}
