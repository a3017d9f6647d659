//! What is told without being asked: notifications, and how busy a node is.

use super::*;

fn notification(id: u64, content: impl Into<Json>) -> Frame {
    frame(6, id, content)
}

fn load(load: u64) -> Frame {
    frame(31, 0, load)
}

impl Transcript {
    fn we_notify(self, token: u32, content: impl Into<Json>) -> Self {
        let content = Payload::encode(&content.into(), self.channel.encoding().expect("known")).expect("plain data");
        self.feed(Input::Notify { token: Token(token), content: Content::Shared(&content) })
    }

    fn our_load_is(self, load: u32) -> Self {
        self.feed(Input::Load(load))
    }

    fn peer_has_load(mut self, expected: u32) -> Self {
        match self.next_order() {
            Output::PeerLoad(load) => assert_eq!(load, expected),
            other => panic!("the peer should say its load, but: {other:?}"),
        }
        self
    }
}

#[test]
fn a_notification_is_over_when_it_is_queued_and_keeps_its_place_among_the_requests() {
    transcript(full_dialler())
        .we_call(0, "first")
        .we_notify(1, "by the way")
        .call_returns(1, Json::Null)
        .we_call(1, "second")
        .we_send(request(0, "first"))
        .we_send(notification(2, "by the way"))
        .we_send(request(4, "second"))
        .holds(|channel| channel.calls_in_flight() == 2)
        .peer_sends_all(&[result(0, 1), result(4, 2)])
        .call_returns(0, 1)
        .call_returns(1, 2);
}

#[test]
fn nothing_that_becomes_of_a_notification_is_sent() {
    let served = || transcript(full(Side::Acceptor)).peer_sends(notification(0, "x")).we_serve("x");
    let data = Payload::null(Encoding::MsgPack);
    served().we_reply(0, "an answer").we_send_nothing();
    served().we_fail(0, Code::INTERNAL, "no", Some(&data)).we_send_nothing();
    served().we_reject(0, &Refused::BadRequest("no".into())).we_send_nothing();
    served().we_stopped(0, Stop::Stopped).we_send_nothing();
    served().we_reply(0, 1).holds(|channel| channel.requests_in_service() == 0);
}

#[test]
fn a_notification_that_is_read_is_handed_over_with_a_mark() {
    let mut transcript = transcript(full(Side::Acceptor)).peer_sends_all(&[notification(0, "x"), request(2, "y")]);
    for expected in [true, false] {
        match transcript.next_order() {
            Output::Request { request, .. } => assert_eq!(request.is_notification(), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_notification_beyond_the_limit_is_dropped_and_counted() {
    let config = Config { served_at_once: 1, ..full(Side::Acceptor) };
    transcript(config)
        .peer_sends_all(&[notification(0, "x"), notification(2, "y"), request(4, "z")])
        .we_serve("x")
        .we_send(busy(4, Busy::LimitReached, 50))
        .counters(|counters| counters.notifications_dropped == 1 && counters.requests == 3)
        .we_reply(0, 1)
        .peer_sends(notification(6, "there is room again"))
        .we_serve("there is room again");
}

#[test]
fn a_node_that_leaves_drops_notifications() {
    transcript(full(Side::Acceptor))
        .feed(Input::Drain)
        .link_is_idle()
        .peer_sends(notification(0, "x"))
        .we_send_nothing()
        .counters(|counters| counters.notifications_dropped == 1);
}

#[test]
fn a_cancelled_notification_is_as_good_as_answered() {
    transcript(full(Side::Acceptor))
        .peer_sends(notification(0, "x"))
        .we_serve("x")
        .peer_sends(cancel(0))
        .we_send(stopped(0, Stop::Completed));
}

#[test]
fn notifications_keep_to_the_rules_of_ids() {
    transcript(full(Side::Acceptor))
        .peer_sends(notification(2, "x"))
        .we_serve("x")
        .peer_sends(request(2, "y"))
        .link_ends_because_the_peer(PeerMisbehaved::BadRequestId(2));
}

#[test]
fn a_notification_is_refused_where_a_call_would_be() {
    let why = "a plain link carries no notifications: its peer answers whatever it is asked";
    transcript(plain_json())
        .we_notify(0, "x")
        .call_gives(0, Err(CallError::Refused { why: Refused::BadRequest(why.into()) }))
        .we_send_nothing();
    transcript(full_dialler())
        .feed(Input::Retire)
        .link_is_idle()
        .we_notify(0, "x")
        .call_gives(0, not_sent(NotSent::NoRoute))
        .we_send_nothing();
    transcript(Config { frame_bytes: 100, ..full_dialler() })
        .we_notify(0, "x".repeat(100))
        .call_gives(0, Err(CallError::Refused { why: Refused::TooLarge { size: 102, limit: 100 } }));
}

#[test]
fn how_busy_a_node_is_follows_its_answers_now_and_then() {
    transcript(full(Side::Acceptor))
        .our_load_is(3)
        .we_send_nothing()
        .peer_sends(request(0, "x"))
        .we_serve("x")
        .our_load_is(4)
        .we_send_nothing()
        .we_reply(0, "y")
        .our_load_is(4)
        .we_send(result(0, "y"))
        .we_send(load(4))
        .our_load_is(5)
        .we_send_nothing()
        .peer_sends(request(2, "x"))
        .we_serve("x")
        .we_reply(1, "y")
        .our_load_is(5)
        .we_send(result(2, "y"))
        .we_send_nothing()
        .after(limits::LOAD_PERIOD)
        .our_load_is(4)
        .we_send_nothing()
        .our_load_is(6)
        .we_send(load(6));
}

#[test]
fn a_pong_says_how_busy_a_node_is() {
    transcript(full(Side::Acceptor)).our_load_is(9).peer_sends(frame(12, 0, Json::Null)).we_send(frame(13, 0, 9));
}

#[test]
fn what_the_peer_says_of_its_load_is_told() {
    transcript(full_dialler())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends_all(&[result(0, "y"), load(7), load(u64::MAX)])
        .call_returns(0, "y")
        .peer_has_load(7)
        .peer_has_load(u32::MAX);
}

#[test]
fn a_load_that_follows_no_answer_is_a_small_frame() {
    let loads = vec![load(1); limits::SMALL_FRAMES_BURST as usize];
    let mut transcript = transcript(full_dialler()).peer_sends_all(&loads);
    for _ in &loads {
        transcript = transcript.peer_has_load(1);
    }
    transcript.peer_sends(load(1)).link_ends_because_the_peer(PeerMisbehaved::TooManyResets);
}

#[test]
fn loads_behind_answers_cost_nothing() {
    let mut transcript = transcript(full_dialler());
    for n in 0..2 * u64::from(limits::SMALL_FRAMES_BURST) {
        transcript = transcript
            .we_call(0, n)
            .we_send(request(2 * n, n))
            .peer_sends_all(&[result(2 * n, n), load(1)])
            .call_returns(0, n)
            .peer_has_load(1);
    }
}

#[test]
fn a_load_whose_content_does_not_decode() {
    for content in [json!("busy"), json!([1]), json!(-1), json!(null)] {
        transcript(full_dialler())
            .peer_sends(frame(31, 0, content))
            .link_ends_because_the_peer(PeerMisbehaved::BadContent("load"));
    }
}
