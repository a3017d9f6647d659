//! Records of multicast DNS that no node made, written by hand and sent from another host.

use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Sends so many records a second, each of an instance of its own, from the network of this process and from this address. How
/// many they were.
pub(crate) fn flood(pid: u32, from: &str, a_second: u32, time: Duration) -> u32 {
    let (from, network) = (format!("{from}:5353"), format!("/proc/{pid}/ns/net"));
    let spoofing = std::thread::spawn(move || {
        let network = File::open(network).expect("a process has a network");
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
        let socket = UdpSocket::bind(from).expect("nobody else listens there");
        let began = Instant::now();
        let mut sent = 0;
        while began.elapsed() < time {
            let due = (began.elapsed().as_secs_f64() * f64::from(a_second)) as u32;
            while sent < due {
                // A full queue is the network's business.
                let _ = socket.send_to(&record(sent), "224.0.0.251:5353");
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        sent
    });
    spoofing.join().expect("it sends")
}

/// A response that announces an instance with a tag that somebody made up.
fn record(number: u32) -> Vec<u8> {
    let instance = format!("t{number:032x}");
    let (service, host) = (["_peerage", "_udp", "local"], format!("h{number}"));
    let full: Vec<&str> = [&[instance.as_str()][..], &service].concat();
    let host = [host.as_str(), "local"];
    let mut message = vec![0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    answer(&mut message, &service, 12, 0x0001, &name(&full));
    let port_and_host = [&[0, 0, 0, 0, 0x13, 0x88][..], &name(&host)].concat();
    answer(&mut message, &full, 33, 0x8001, &port_and_host);
    let tag = format!("t={number:032x}");
    let text = [&[3][..], b"v=1", &[tag.len() as u8], tag.as_bytes()].concat();
    answer(&mut message, &full, 16, 0x8001, &text);
    answer(&mut message, &host, 1, 0x8001, &[10, 209, 0, 2]);
    message
}

fn answer(message: &mut Vec<u8>, of: &[&str], kind: u16, class: u16, data: &[u8]) {
    message.extend(name(of));
    message.extend(kind.to_be_bytes());
    message.extend(class.to_be_bytes());
    message.extend(120_u32.to_be_bytes());
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}

fn name(labels: &[&str]) -> Vec<u8> {
    let mut name: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    name.push(0);
    name
}
