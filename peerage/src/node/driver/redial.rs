//! Dropping all links and dialling all addresses at one agreed time.
//!
//! Many nodes are told the same time. Closing links takes each of them a while, and the ends that others close take them a
//! while longer; a node that dialled as soon as it is done would dial some time after the others. So links are dropped a
//! moment before the agreed time, and what the machine wants dialled from then on is made ready and waits for it. And where
//! many nodes share a machine, the handshakes of the first would take the processor from the last, which have not begun to
//! dial: so connections over `tls` are made first and are silent for a moment.
//!
//! ```text
//!   Told ──a moment before──▶ all links dropped, dials ready ──the agreed time──▶ all dialled at once ──▶ handshakes
//! ```

use std::time::{Duration, SystemTime};

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
    /// Links are dropped. Whoever dials says when.
    Dropped { dial_at: Instant, begun: mpsc::Sender<SystemTime> },
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
    /// The dials are to be at this time, or as soon as it can be done. A redial that was told before and has not dropped its
    /// links gives way; one that has is not changed any more.
    pub(super) fn tell(&mut self, at: SystemTime, reply: oneshot::Sender<Redialled>) {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let wait = at.duration_since(clock).unwrap_or_default().min(AHEAD).max(PAUSE);
        let told = Redial::Told { drop_at: now + wait.saturating_sub(PAUSE), dial_at: now + wait, reply };
        if let Redial::Told { reply, .. } = std::mem::replace(self, told) {
            // Who asked may have gone.
            let _ = reply.send(Redialled { dials: 0, began: None });
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

    /// Takes the next step if it is due. Whether all links are to be dropped now.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        match std::mem::take(self) {
            Redial::Told { dial_at, reply, .. } => {
                *self = Redial::Dropped { dial_at, begun: told(reply) };
                true
            }
            Redial::Not | Redial::Dropped { .. } => false,
        }
    }

    /// A dial that the machine wants: during a redial it waits for the agreed time.
    pub(super) fn at_its_time(&self, dial: Dial) -> Dial {
        match self {
            Redial::Dropped { dial_at, begun } => Dial {
                begun: Some(begun.clone()),
                connect_at: Some(*dial_at),
                speak_from: Some(*dial_at + SILENCE),
                ..dial
            },
            Redial::Not | Redial::Told { .. } => dial,
        }
    }
}

/// Where dials say when they begin. The answer is given when all have, or were given up.
fn told(reply: oneshot::Sender<Redialled>) -> mpsc::Sender<SystemTime> {
    let (begun, mut beginnings) = mpsc::channel(BEGINNINGS);
    tokio::spawn(async move {
        let mut told = Redialled { dials: 0, began: None };
        while let Some(at) = beginnings.recv().await {
            let (first, last) = told.began.unwrap_or((at, at));
            told = Redialled { dials: told.dials + 1, began: Some((first.min(at), last.max(at))) };
        }
        // Who asked may have gone.
        let _ = reply.send(told);
    });
    begun
}

/// How long before the agreed time links are dropped: what closing takes a busy machine with some dozen nodes.
const PAUSE: Duration = Duration::from_millis(100);

/// How long after the agreed time handshakes begin: what it takes some dozen nodes of one machine to make all connections.
const SILENCE: Duration = Duration::from_millis(50);

/// How far ahead a redial may be asked for.
const AHEAD: Duration = Duration::from_secs(3_600);

/// Dials that may say at once that they begin; more than that a node does not know.
const BEGINNINGS: usize = 4_096;

#[cfg(test)]
mod tests {
    use peerage_proto::node::DialId;

    use super::*;

    fn dial(number: u64) -> Dial {
        let address = "tls://bob".parse().unwrap();
        Dial::new(DialId(number), address, None, number)
    }

    fn told(ahead: Duration) -> (Redial, oneshot::Receiver<Redialled>) {
        let (reply, answer) = oneshot::channel();
        let mut redial = Redial::Not;
        redial.tell(SystemTime::now() + ahead, reply);
        (redial, answer)
    }

    #[tokio::test(start_paused = true)]
    async fn links_are_dropped_a_moment_before_the_dials_of_the_agreed_time() {
        let begun = Instant::now();
        let (mut redial, _answer) = told(Duration::from_secs(5));
        assert_eq!(redial.at_its_time(dial(1)).connect_at, None, "what has nothing to do with it is dialled");
        assert!(!redial.step(begun + Duration::from_millis(4_800)));
        let drop_at = redial.due().unwrap();
        assert!(redial.step(drop_at));
        assert!((Duration::from_millis(4_800)..=Duration::from_millis(4_900)).contains(&(drop_at - begun)));
        let dial_at = redial.due().unwrap();
        assert_eq!(dial_at, drop_at + PAUSE);
        let waits = redial.at_its_time(dial(2));
        assert_eq!((waits.connect_at, waits.speak_from), (Some(dial_at), Some(dial_at + SILENCE)));
        assert!(!redial.step(dial_at));
        assert_eq!((redial.due(), redial.at_its_time(dial(3)).connect_at), (None, None), "it is over");
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
    async fn a_later_word_takes_the_place_of_an_earlier_one_whose_dials_keep_their_time() {
        let (mut redial, first) = told(Duration::from_secs(5));
        let (reply, second) = oneshot::channel();
        redial.tell(SystemTime::now(), reply);
        assert_eq!(first.await.unwrap(), Redialled { dials: 0, began: None });
        assert!(redial.step(redial.due().unwrap()));
        let waits = redial.at_its_time(dial(1));
        redial.tell(SystemTime::now(), oneshot::channel().0);
        assert!(matches!(redial, Redial::Told { .. }));
        drop(waits);
        assert_eq!(second.await.unwrap(), Redialled { dials: 0, began: None });
    }

    #[tokio::test]
    async fn the_answer_says_when_the_first_and_the_last_dial_began() {
        let (mut redial, answer) = told(Duration::ZERO);
        assert!(redial.step(redial.due().unwrap()));
        let mut dials = [1, 2, 3].map(|number| redial.at_its_time(dial(number))).to_vec();
        assert!(!redial.step(redial.due().unwrap()));
        // Given up before its turn.
        drop(dials.pop());
        let (early, late) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        for (dial, at) in dials.into_iter().zip([late, early]) {
            dial.begun.unwrap().send(at).await.unwrap();
        }
        assert_eq!(answer.await.unwrap(), Redialled { dials: 2, began: Some((early, late)) });
    }
}
