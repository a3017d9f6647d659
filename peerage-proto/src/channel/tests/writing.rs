//! Counting what was written.

use super::*;

impl Transcript {
    /// So many whole frames were written; which ones does not matter here.
    pub(super) fn written_frames(mut self, expected: usize) -> Self {
        let written = std::mem::take(&mut self.written);
        let (mut rest, mut count) = (&written[..], 0);
        while self.wire.next(&mut rest).expect("we keep to our own limits").is_some() {
            count += 1;
        }
        assert_eq!(count, expected);
        self
    }
}

#[test]
fn bytes_are_counted_in_both_directions() {
    let asked = request(0, "x").bytes(Encoding::Json).len() as u64;
    let answered = result(0, "longer").bytes(Encoding::Json).len() as u64;
    transcript(plain_json())
        .we_call(0, "x")
        .we_send(request(0, "x"))
        .peer_sends(result(0, "longer"))
        .call_returns(0, "longer")
        .counters(|c| (c.bytes_out, c.bytes_in) == (asked, answered));
}

#[test]
fn answers_and_calls_share_one_stream_in_the_order_in_which_they_were_given() {
    transcript(plain_json())
        .peer_sends(request(5, "a"))
        .we_serve("a")
        .we_call(0, "x")
        .we_reply(0, "A".repeat(40_000))
        .we_call(1, "y")
        .we_write(7)
        .we_write(20_000)
        .we_send(request(0, "x"))
        .we_send(result(5, "A".repeat(40_000)))
        .we_send(request(1, "y"))
        .we_send_nothing();
}

#[test]
fn kinds_are_numbered_as_on_the_wire() {
    let kinds = [Kind::Request, Kind::Result, Kind::Exception, Kind::Cancel, Kind::Stopped, Kind::Busy, Kind::Rejected];
    let numbers = [
        request(0, 0),
        result(0, 0),
        exception(0, 0),
        cancel(0),
        stopped(0, Stop::Stopped),
        busy(0, Busy::Draining, 0),
        rejected(0, 0, ""),
    ]
    .map(|frame| frame.kind);
    assert_eq!(kinds.map(|kind| u64::from(kind.number())), numbers);
}
