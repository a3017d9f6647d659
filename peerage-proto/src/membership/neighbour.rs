//! One neighbour: what has been said to it, what it has said, and how much of it is listened to.

use std::time::{Duration, Instant};

use super::Digest;
use crate::id::Epoch;
use crate::limits;

/// A node with a link, as far as the exchange of records goes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Neighbour {
    /// The run of it that the link leads to.
    pub(super) epoch: Epoch,
    /// How its link goes, for people.
    pub(super) path: String,
    /// The digest that it was told last, and when.
    said: Option<(Digest, Instant)>,
    /// How often our digest had been changed when it was told.
    pub(super) told_at: u64,
    /// It is to be told the digest again, changed or not.
    owes: bool,
    /// The last digest it told.
    theirs: Option<Digest>,
    /// The digest of theirs that an answer has brought this node up to.
    answered: Option<Digest>,
    /// When it is to be asked for what is missing here.
    ask_at: Option<Instant>,
    /// When it was asked, while the answer is awaited.
    asked: Option<Instant>,
    /// It holds to its digest, although it has told all: perhaps those whom it calls live have signed something since.
    holds_to_it: bool,
    /// Its link is silent: nothing is said that would only wait, and come all at once.
    pub(super) is_quiet: bool,
    /// A part of the answer was not taken.
    is_partial: bool,
    budgets: Budgets,
}

/// How much a neighbour may say.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Budgets {
    unasked: Quota,
    asked: Quota,
    asked_bytes: Quota,
    summaries: Quota,
    /// Questions for lists of services, and what they are told.
    lists: Quota,
    lists_bytes: Quota,
    forgeries: Vec<Instant>,
}

/// So much in a time, counted anew when it is over.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Quota {
    since: Option<Instant>,
    spent: usize,
}

impl Neighbour {
    /// A neighbour whose link has just come up.
    pub(super) fn new(epoch: Epoch, path: &str) -> Neighbour {
        Neighbour {
            epoch,
            path: cut(path),
            said: None,
            told_at: 0,
            owes: false,
            theirs: None,
            answered: None,
            ask_at: None,
            asked: None,
            holds_to_it: false,
            is_quiet: false,
            is_partial: false,
            budgets: Budgets::default(),
        }
    }

    /// Its link goes another way.
    pub(super) fn go(&mut self, path: &str) {
        self.path = cut(path);
    }

    /// It told its digest.
    pub(super) fn told_digest(&mut self, now: Instant, digest: Digest, delay: Duration) {
        let before = self.theirs.replace(digest);
        let delay = if before.is_none() { Duration::ZERO } else { delay };
        self.holds_to_it = before == Some(digest);
        self.ask_at.get_or_insert(now + delay);
    }

    /// Its answer is complete; it was made from this digest of its own.
    pub(super) fn told_all(&mut self, now: Instant, digest: Digest) {
        self.asked = None;
        if std::mem::take(&mut self.is_partial) {
            self.ask_at = Some(now + limits::SUMMARY_AGAIN);
        } else {
            self.answered = Some(digest);
        }
    }

    /// The digest is to be told again: the lease was renewed.
    pub(super) fn remind(&mut self) {
        self.owes = true;
    }

    /// Whether it is to be told our digest now; notes that it is.
    pub(super) fn says(&mut self, now: Instant, ours: Digest) -> bool {
        let is_due = !self.is_quiet && self.say_at(ours).is_some_and(|at| at.is_none_or(|at| at <= now));
        if is_due {
            (self.said, self.owes) = (Some((ours, now)), false);
        }
        is_due
    }

    /// Whether it is to be asked now for what is missing here; notes that it is. Where nobody may be asked now, it is put off.
    pub(super) fn asks(&mut self, now: Instant, ours: Digest, delay: Duration, may_ask: bool) -> bool {
        if self.is_quiet || !self.is_worth_asking(ours) {
            self.ask_at = None;
            return false;
        }
        self.ask_at.get_or_insert(now + delay);
        let is_due = self.ask_due(ours).is_some_and(|at| at <= now);
        if is_due && !may_ask {
            (self.asked, self.ask_at) = (None, Some(now + delay));
            return false;
        }
        if is_due {
            self.ask(now);
        }
        is_due
    }

    /// Notes that it is asked now, whatever the digests.
    pub(super) fn ask(&mut self, now: Instant) {
        (self.asked, self.ask_at) = (Some(now), None);
        (self.is_partial, self.holds_to_it) = (false, false);
    }

    /// Whether an answer of it is awaited.
    pub(super) fn is_asked(&self, now: Instant) -> bool {
        self.asked.is_some_and(|at| now.saturating_duration_since(at) < limits::SUMMARY_AGAIN)
    }

    /// Whether it held, by its last word, what we held by our last word to it.
    pub(super) fn held_the_same(&self) -> bool {
        self.said.is_some_and(|(said, _)| self.theirs == Some(said))
    }

    /// Whether everything that it knows is known here, as far as it has told.
    pub(super) fn agrees(&self, ours: Digest) -> bool {
        self.theirs.is_some_and(|theirs| theirs == ours || self.answered == Some(theirs))
    }

    /// When something is due with it.
    pub(super) fn due(&self, ours: Digest) -> Option<Instant> {
        if self.is_quiet {
            return None;
        }
        let said = self.said.map(|(_, at)| at);
        let say = self.say_at(ours).and_then(|at| at.or(said));
        [say, self.ask_due(ours)].into_iter().flatten().min()
    }

    /// Whether one more record of it, with so many bytes, is looked at.
    pub(super) fn may_hand(&mut self, now: Instant, bytes: usize) -> bool {
        let budgets = &mut self.budgets;
        let may = if self.asked.is_some() {
            budgets.asked.spend(now, 1, limits::RECORDS_ASKED_MAX, limits::RECORDS_WINDOW)
                && budgets.asked_bytes.spend(now, bytes, limits::RECORDS_ASKED_BYTES_MAX, limits::RECORDS_WINDOW)
        } else {
            budgets.unasked.spend(now, 1, limits::RECORDS_UNASKED_MAX, limits::RECORDS_WINDOW)
        };
        self.is_partial |= !may;
        may
    }

    /// Whether one more summary of it is answered.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        self.budgets.summaries.spend(now, 1, limits::SUMMARIES_PER_SECOND, Duration::from_secs(1))
    }

    /// Whether one more question of it for lists of services is answered.
    pub(super) fn may_want(&mut self, now: Instant) -> bool {
        self.budgets.lists.spend(now, 1, limits::WANTED_PER_SECOND, Duration::from_secs(1))
    }

    /// Whether it is told so many bytes of lists more.
    pub(super) fn may_be_told(&mut self, now: Instant, bytes: usize) -> bool {
        self.budgets.lists_bytes.spend(now, bytes, limits::SERVICE_LISTS_TOLD_MAX, limits::RECORDS_WINDOW)
    }

    /// It handed on what does not verify. Whether that was once too often.
    pub(super) fn has_forged(&mut self, now: Instant) -> bool {
        let forgeries = &mut self.budgets.forgeries;
        forgeries.retain(|at| now.saturating_duration_since(*at) < limits::FORGERY_WINDOW);
        forgeries.push(now);
        let is_enough = forgeries.len() >= limits::FORGERIES_MAX;
        if is_enough {
            forgeries.clear();
        }
        is_enough
    }

    /// When the digest is to be said: not at all, at once (`Some(None)`), or then.
    fn say_at(&self, ours: Digest) -> Option<Option<Instant>> {
        match self.said {
            None => Some(None),
            Some((said, at)) => (self.owes || said != ours).then(|| Some(at + limits::DIGEST_PAUSE)),
        }
    }

    /// Whether an answer of it may bring something new.
    fn is_worth_asking(&self, ours: Digest) -> bool {
        self.theirs.is_some_and(|theirs| theirs != ours && (self.holds_to_it || self.answered != Some(theirs)))
    }

    /// When it is to be asked: while an answer is awaited not before its time is over.
    fn ask_due(&self, ours: Digest) -> Option<Instant> {
        if !self.is_worth_asking(ours) {
            return None;
        }
        match self.asked {
            Some(at) => Some(at + limits::SUMMARY_AGAIN),
            None => self.ask_at,
        }
    }
}

fn cut(path: &str) -> String {
    path[..path.floor_char_boundary(limits::EVIDENCE_TEXT_BYTES_MAX)].to_owned()
}

impl Quota {
    /// Takes so much, if that is left.
    fn spend(&mut self, now: Instant, amount: usize, limit: usize, window: Duration) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= window) {
            (self.since, self.spent) = (Some(now), 0);
        }
        let spent = self.spent.saturating_add(amount);
        let is_left = spent <= limit;
        if is_left {
            self.spent = spent;
        }
        is_left
    }
}
