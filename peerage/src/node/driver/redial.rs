//! Dropping all links and dialling all addresses at one agreed time.
//!
//! Many nodes are told the same time. Closing links takes each of them a while, and the ends that others close take them a
//! while longer; a node that dialled as soon as it is done would dial some time after the others. So links are dropped a
//! moment before the agreed time, and what the machine wants dialled from then on is kept until the time has come. And where
//! many nodes share a machine, the handshakes of the first would take the processor from the last, which have not begun to
//! dial: so connections over `tls` are made first and are silent for a moment.
//!
//! ```text
//!   Told ──a moment before──▶ all links dropped, dials kept ──the agreed time──▶ all dialled at once ──▶ handshakes
//! ```

use std::time::{Duration, SystemTime};

use peerage_proto::node::DialId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::node::admission::Dial;

/// How far a redial has come.
#[derive(Default)]
pub(super) enum Redial {
    /// None was asked for.
    #[default]
    Not,
    /// Links are to be dropped, and some time later their peers dialled.
    Told { drop_at: Instant, dial_at: Instant, reply: oneshot::Sender<Redialled> },
    /// Links are dropped.
    Dropped { dial_at: Instant, kept: Vec<Dial>, reply: oneshot::Sender<Redialled> },
}

/// What is to be done now.
pub(super) enum Step {
    /// Drop all links.
    Drop,
    /// Dial these.
    Dial(Vec<Dial>),
}

/// When the dials of a redial really began, by the clock on the wall.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Redialled {
    /// How many there were. Of those that were given up before their turn nothing is told.
    pub(crate) dials: u64,
    /// The first and the last.
    pub(crate) began: Option<(SystemTime, SystemTime)>,
}

impl Redial {
    /// The dials are to be at this time, or as soon as it can be done. A redial that was told before gives way; gives the
    /// dials that it kept, which are to begin now.
    pub(super) fn tell(&mut self, at: SystemTime, reply: oneshot::Sender<Redialled>) -> Vec<Dial> {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let wait = at.duration_since(clock).unwrap_or_default().min(AHEAD).max(PAUSE);
        let told = Redial::Told { drop_at: now + wait.saturating_sub(PAUSE), dial_at: now + wait, reply };
        match std::mem::replace(self, told) {
            Redial::Not => Vec::new(),
            Redial::Told { reply, .. } => begin(Vec::new(), reply),
            Redial::Dropped { kept, reply, .. } => begin(kept, reply),
        }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Redial::Not => None,
            Redial::Told { drop_at, .. } => Some(*drop_at),
            Redial::Dropped { dial_at, .. } => Some(*dial_at),
        }
    }

    /// Takes the next step if it is due.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        self.due().filter(|due| *due <= now)?;
        match std::mem::take(self) {
            Redial::Not => None,
            Redial::Told { dial_at, reply, .. } => {
                *self = Redial::Dropped { dial_at, kept: Vec::new(), reply };
                Some(Step::Drop)
            }
            Redial::Dropped { dial_at, kept, reply } => {
                let silent = kept.into_iter().map(|dial| Dial { speak_from: Some(dial_at + SILENCE), ..dial });
                Some(Step::Dial(begin(silent.collect(), reply)))
            }
        }
    }

    /// Keeps a dial until its time has come; gives it back if it may begin now.
    pub(super) fn keep(&mut self, dial: Dial) -> Option<Dial> {
        match self {
            Redial::Dropped { kept, .. } => {
                kept.push(dial);
                None
            }
            Redial::Not | Redial::Told { .. } => Some(dial),
        }
    }

    /// This dial is given up.
    pub(super) fn abandon(&mut self, dial: DialId) {
        if let Redial::Dropped { kept, .. } = self {
            kept.retain(|waiting| waiting.dial != dial);
        }
    }
}

/// Has each of these dials say when it begins, and tells it when all have.
fn begin(mut dials: Vec<Dial>, reply: oneshot::Sender<Redialled>) -> Vec<Dial> {
    let (begun, mut beginnings) = mpsc::channel(dials.len().max(1));
    for dial in &mut dials {
        dial.begun = Some(begun.clone());
    }
    tokio::spawn(async move {
        let mut told = Redialled { dials: 0, began: None };
        while let Some(at) = beginnings.recv().await {
            let (first, last) = told.began.unwrap_or((at, at));
            told = Redialled { dials: told.dials + 1, began: Some((first.min(at), last.max(at))) };
        }
        // Who asked may have gone.
        let _ = reply.send(told);
    });
    dials
}

/// How long before the agreed time links are dropped: what closing takes a busy machine with some dozen nodes.
const PAUSE: Duration = Duration::from_millis(100);

/// How long after the agreed time handshakes begin: what it takes some dozen nodes of one machine to make all connections.
const SILENCE: Duration = Duration::from_millis(50);

/// How far ahead a redial may be asked for.
const AHEAD: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(number: u64) -> Dial {
        let address = "tls://bob".parse().unwrap();
        Dial { dial: DialId(number), address, expected: None, dial_seq: number, begun: None, speak_from: None }
    }

    fn told(ahead: Duration) -> (Redial, oneshot::Receiver<Redialled>) {
        let (reply, answer) = oneshot::channel();
        let mut redial = Redial::Not;
        assert!(redial.tell(SystemTime::now() + ahead, reply).is_empty());
        (redial, answer)
    }

    #[tokio::test(start_paused = true)]
    async fn links_are_dropped_a_moment_before_the_dials_of_the_agreed_time() {
        let begun = Instant::now();
        let (mut redial, _answer) = told(Duration::from_secs(5));
        assert!(redial.keep(dial(1)).is_some(), "what has nothing to do with it is dialled");
        assert!(redial.step(begun + Duration::from_millis(4_800)).is_none());
        let drop_at = redial.due().unwrap();
        assert!(matches!(redial.step(drop_at), Some(Step::Drop)));
        assert!((Duration::from_millis(4_800)..=Duration::from_millis(4_900)).contains(&(drop_at - begun)));
        assert_eq!(redial.due(), Some(drop_at + PAUSE));
        assert!(redial.keep(dial(2)).is_none() && redial.keep(dial(3)).is_none());
        redial.abandon(DialId(2));
        assert!(redial.step(drop_at).is_none());
        let Some(Step::Dial(dials)) = redial.step(drop_at + PAUSE) else { panic!("it is time") };
        assert_eq!(dials.iter().map(|dial| dial.dial).collect::<Vec<_>>(), [DialId(3)]);
        assert!(redial.keep(dial(4)).is_some(), "it is over");
        assert_eq!(redial.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_has_passed_is_now_and_one_far_ahead_is_in_an_hour() {
        let now = Instant::now();
        let (mut redial, _answer) = told(AHEAD * 9);
        assert_eq!(redial.due(), Some(now + AHEAD - PAUSE));
        redial.tell(SystemTime::UNIX_EPOCH, oneshot::channel().0);
        assert_eq!(redial.due(), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_word_takes_the_place_of_an_earlier_one_whose_dials_begin_at_once() {
        let (mut redial, first) = told(Duration::from_secs(5));
        let (reply, second) = oneshot::channel();
        assert!(redial.tell(SystemTime::now(), reply).is_empty());
        assert_eq!(first.await.unwrap(), Redialled { dials: 0, began: None });
        let drop_at = redial.due().unwrap();
        assert!(matches!(redial.step(drop_at), Some(Step::Drop)));
        assert!(redial.keep(dial(1)).is_none());
        let dials = redial.tell(SystemTime::now(), oneshot::channel().0);
        assert_eq!(dials.iter().map(|dial| dial.dial).collect::<Vec<_>>(), [DialId(1)]);
        drop(dials);
        assert_eq!(second.await.unwrap(), Redialled { dials: 0, began: None });
        assert!(matches!(redial, Redial::Told { .. }));
    }

    #[tokio::test]
    async fn the_answer_says_when_the_first_and_the_last_dial_began() {
        let (redial, answer) = told(Duration::ZERO);
        let Redial::Told { dial_at, reply, .. } = redial else { panic!("told") };
        let mut redial = Redial::Dropped { dial_at, kept: [1, 2, 3].map(dial).into(), reply };
        let Some(Step::Dial(mut dials)) = redial.step(dial_at) else { panic!("it is time") };
        // Given up before its turn.
        drop(dials.pop());
        let (early, late) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        for (dial, at) in dials.into_iter().zip([late, early]) {
            dial.begun.unwrap().send(at).await.unwrap();
        }
        assert_eq!(answer.await.unwrap(), Redialled { dials: 2, began: Some((early, late)) });
    }
}
