//! The rule for duplicate links at one end, word by word.

use std::collections::VecDeque;

use super::super::pair::{NoWinner, Pair};
use super::super::{Control, Order, WhyClosed};
use crate::id::{LinkId, LinkOrder, NodeId};

const PEER: NodeId = NodeId::from_bytes([9; 32]);
const SMALL: LinkId = LinkId(1);
const LARGE: LinkId = LinkId(2);

/// The place of a link among all: here simply its number.
fn place(link: LinkId) -> LinkOrder {
    LinkOrder { dialer: PEER, dial_seq: link.0, binding: [0; 32] }
}

/// A pair with its orders.
struct End {
    pair: Pair,
    orders: VecDeque<Order>,
}

impl End {
    fn new() -> End {
        End { pair: Pair::with(PEER), orders: VecDeque::new() }
    }

    /// An end with these links, all up, in this order; what was ordered so far is forgotten.
    fn with(links: &[LinkId]) -> End {
        let mut end = End::new();
        links.iter().for_each(|link| end.up(*link));
        end.orders.clear();
        end
    }

    fn up(&mut self, link: LinkId) {
        self.pair.admit(link, place(link));
        self.pair.up(link, &mut self.orders);
    }

    fn dies(&mut self, link: LinkId) {
        self.pair.down(link, &mut self.orders);
    }

    fn hears(&mut self, link: LinkId, names: LinkId) {
        self.pair.superseded(link, (place(names), 0), &mut self.orders).unwrap();
    }

    fn hears_ok(&mut self, link: LinkId, names: LinkId) {
        self.hears_ok_in(0, link, names);
    }

    fn hears_ok_in(&mut self, round: u32, link: LinkId, names: LinkId) {
        self.pair.superseded_ok(link, (place(names), round), &mut self.orders);
    }

    fn is_idle(&mut self, link: LinkId, ask: u32) {
        self.pair.idle(link, ask, &mut self.orders);
    }

    fn expect(&mut self, expected: &[Order]) {
        let orders: Vec<Order> = self.orders.drain(..).collect();
        assert_eq!(orders, expected);
    }
}

fn activate(link: LinkId) -> Order {
    Order::Activate { link, peer: PEER }
}

fn says(link: LinkId, winner: LinkId) -> Order {
    names(link, winner, 0)
}

fn names(link: LinkId, winner: LinkId, round: u32) -> Order {
    Order::Send { link, control: Control::Superseded { winner: place(winner), round } }
}

/// The word of keeping, said for the first time on this link.
fn keeps(link: LinkId) -> Order {
    names(link, link, 1)
}

fn says_ok(link: LinkId, winner: LinkId) -> Order {
    Order::Send { link, control: Control::SupersededOk { winner: place(winner), round: 0 } }
}

fn retire(link: LinkId) -> Order {
    Order::Retire { link }
}

fn restore(link: LinkId) -> Order {
    Order::Restore { link }
}

fn when_idle(link: LinkId, ask: u32) -> Order {
    Order::WhenIdle { link, ask }
}

fn close(link: LinkId) -> Order {
    Order::Close { link, why: WhyClosed::Superseded }
}

#[test]
fn the_only_link_carries_calls_once_both_ends_have_taken_it() {
    let mut end = End::new();
    end.pair.admit(SMALL, place(SMALL));
    assert_eq!(end.pair.active(), None);
    end.pair.up(SMALL, &mut end.orders);
    end.expect(&[activate(SMALL)]);
    assert_eq!(end.pair.active(), Some(SMALL));
}

#[test]
fn the_greater_link_stays_whichever_came_first() {
    let mut end = End::with(&[SMALL]);
    end.up(LARGE);
    end.expect(&[retire(SMALL), says(SMALL, LARGE), activate(LARGE)]);

    let mut end = End::with(&[LARGE]);
    end.up(SMALL);
    end.expect(&[retire(SMALL), says(SMALL, LARGE)]);
    assert_eq!(end.pair.active(), Some(LARGE));
}

#[test]
fn ok_is_said_only_once_the_winner_is_active_here() {
    let mut end = End::with(&[SMALL]);
    end.hears(SMALL, LARGE);
    end.expect(&[]);
    end.up(LARGE);
    end.expect(&[retire(SMALL), says(SMALL, LARGE), says_ok(SMALL, LARGE), when_idle(SMALL, 1), activate(LARGE)]);
}

#[test]
fn a_link_is_closed_when_both_ends_have_named_and_confirmed_and_nothing_is_open() {
    let steps: [fn(&mut End); 3] =
        [|end| end.hears(SMALL, LARGE), |end| end.hears_ok(SMALL, LARGE), |end| end.is_idle(SMALL, 1)];
    // The peer names before it confirms, and idleness is asked for after that: the other order is left.
    for [first, second, third] in [[0, 1, 2], [0, 2, 1], [1, 0, 2]] {
        let mut end = End::with(&[SMALL, LARGE]);
        steps[first](&mut end);
        steps[second](&mut end);
        assert!(!end.orders.contains(&close(SMALL)), "closed too early: {:?}", end.orders);
        steps[third](&mut end);
        assert_eq!(end.orders.back(), Some(&close(SMALL)));
        assert_eq!(end.pair.active(), Some(LARGE));
        assert!(!end.pair.has(SMALL));
    }
}

#[test]
fn a_loser_comes_back_when_the_winner_dies_before_it_was_given_up_and_the_peer_is_told() {
    let mut end = End::with(&[SMALL, LARGE]);
    end.dies(LARGE);
    end.expect(&[restore(SMALL), keeps(SMALL), activate(SMALL)]);
}

#[test]
fn a_link_that_was_given_up_is_asked_back_and_carries_nothing_until_the_peer_agrees() {
    let mut end = End::with(&[SMALL, LARGE]);
    end.hears(SMALL, LARGE);
    end.orders.clear();
    end.dies(LARGE);
    end.expect(&[keeps(SMALL)]);
    assert_eq!(end.pair.active(), None);
    // What the peer had said before it heard of that changes nothing any more.
    end.hears_ok(SMALL, LARGE);
    end.is_idle(SMALL, 1);
    end.expect(&[]);
    end.hears(SMALL, SMALL);
    end.expect(&[restore(SMALL), activate(SMALL)]);
}

#[test]
fn a_link_that_the_peer_keeps_is_no_longer_given_up() {
    let mut end = End::with(&[SMALL, LARGE]);
    end.hears(SMALL, LARGE);
    end.hears_ok(SMALL, LARGE);
    end.hears(SMALL, SMALL);
    end.orders.clear();
    end.is_idle(SMALL, 1);
    end.expect(&[]);
    end.dies(LARGE);
    end.expect(&[restore(SMALL), keeps(SMALL), activate(SMALL)]);
}

#[test]
fn an_ok_for_a_winner_that_has_died_does_not_count_for_its_successor() {
    let middle = LinkId(2);
    let large = LinkId(3);
    let mut end = End::with(&[SMALL, large]);
    end.dies(large);
    end.up(middle);
    end.hears(SMALL, middle);
    end.is_idle(SMALL, 1);
    end.orders.clear();
    end.hears_ok(SMALL, large);
    end.expect(&[]);
    end.hears_ok_in(1, SMALL, middle);
    end.expect(&[close(SMALL)]);
}

#[test]
fn losers_are_given_up_for_the_next_best_when_the_winner_dies() {
    let (middle, large) = (LinkId(2), LinkId(3));
    let mut end = End::with(&[SMALL, middle, large]);
    end.dies(large);
    // What the small one was given up for is still there; the middle one comes back.
    end.expect(&[restore(middle), keeps(middle), activate(middle)]);

    let mut end = End::with(&[large, SMALL, middle]);
    end.dies(large);
    // Both had been given up for the large one. The small one now names another winner.
    end.expect(&[says(SMALL, middle), restore(middle), keeps(middle), activate(middle)]);
}

#[test]
fn ok_is_not_said_because_of_a_greater_link_that_the_peer_may_not_have() {
    let (middle, large) = (LinkId(2), LinkId(3));
    let mut end = End::with(&[SMALL, large]);
    end.hears(SMALL, middle);
    end.expect(&[]);
    end.up(middle);
    end.expect(&[says_ok(SMALL, middle), when_idle(SMALL, 1), retire(middle), says(middle, large)]);
}

#[test]
fn a_winner_that_is_to_be_confirmed_is_not_given_up_before_it_is() {
    let (middle, large) = (LinkId(2), LinkId(3));
    let mut end = End::with(&[SMALL, middle]);
    end.up(large);
    end.orders.clear();
    end.hears(middle, large);
    end.expect(&[]);
    end.hears_ok(SMALL, middle);
    end.expect(&[says_ok(middle, large), when_idle(middle, 1)]);
}

#[test]
fn each_time_a_winner_is_named_it_is_confirmed_anew() {
    let (middle, large) = (LinkId(2), LinkId(3));
    let mut end = End::with(&[SMALL, middle]);
    end.hears(SMALL, middle);
    end.expect(&[says_ok(SMALL, middle), when_idle(SMALL, 1)]);
    end.hears(SMALL, large);
    end.expect(&[]);
    end.hears(SMALL, middle);
    end.expect(&[says_ok(SMALL, middle)]);
}

#[test]
fn an_ok_that_has_crossed_a_word_of_keeping_is_void_even_if_the_same_winner_is_named_again() {
    let (middle, large) = (LinkId(2), LinkId(3));
    let mut end = End::with(&[SMALL, middle]);
    end.hears(SMALL, middle);
    end.up(large);
    end.dies(middle); // the small one is given up for the large one now
    end.dies(large);
    end.orders.clear();
    end.hears(SMALL, SMALL);
    end.up(middle);
    end.expect(&[restore(SMALL), activate(SMALL), retire(SMALL), names(SMALL, middle, 1), activate(middle)]);
    end.hears(SMALL, middle);
    end.is_idle(SMALL, 2);
    end.orders.clear();
    end.hears_ok(SMALL, middle);
    end.expect(&[]);
    end.hears_ok_in(1, SMALL, middle);
    end.expect(&[close(SMALL)]);
}

#[test]
fn a_peer_that_names_a_lesser_winner_misbehaves() {
    let mut end = End::with(&[LARGE]);
    assert_eq!(end.pair.superseded(LARGE, (place(SMALL), 0), &mut end.orders), Err(NoWinner));
}

#[test]
fn an_answer_to_an_older_question_about_idleness_does_not_count() {
    let mut end = End::with(&[SMALL, LARGE]);
    end.hears(SMALL, LARGE); // asks, 1
    end.hears(SMALL, SMALL); // kept by the peer
    end.hears(SMALL, LARGE); // asks, 2
    end.hears_ok(SMALL, LARGE);
    end.orders.clear();
    end.is_idle(SMALL, 1);
    end.expect(&[]);
    end.is_idle(SMALL, 2);
    end.expect(&[close(SMALL)]);
}
