//! Messages as somebody would send them, and the ones that were sent, in words.

use swarmlet_core::mesh::{kind, Accusation, Message, UserEvent, Verdict, Word};

use super::message;
use super::real::{coordinator, signed, Alone, Person, NOW_MS};

pub fn people(range: std::ops::RangeInclusive<u8>) -> Vec<Person> {
    range.map(Person::new).collect()
}

pub fn accusation(by: &Person, subject: &Person, incarnation: u64, at_ms: u64) -> Vec<u8> {
    let body = Accusation {
        accuser: by.uid,
        subject: subject.uid,
        incarnation,
        at_ms,
    };
    let whole = signed(&by.seed, kind::ACCUSATION, &body.body());
    message(kind::ACCUSATION, &[&whole])
}

pub fn verdict(word: Word, subject: &Person, bound: u64, until_ms: u64) -> Vec<u8> {
    let body = Verdict {
        word,
        subject: subject.uid,
        bound,
        until_ms,
    };
    let whole = signed(&coordinator(), kind::VERDICT, &body.body());
    message(kind::VERDICT, &[&whole])
}

pub fn event(by: &Person, number: u64, at_ms: u64, payload: &[u8]) -> Vec<u8> {
    let body = [
        &by.uid[..],
        &number.to_be_bytes(),
        &at_ms.to_be_bytes(),
        payload,
    ]
    .concat();
    let whole = signed(&by.seed, kind::EVENT, &body);
    assert!(UserEvent::parse(&whole).is_some());
    message(kind::EVENT, &[&whole])
}

pub fn record(of: &Person, incarnation: u64, left: bool) -> Vec<u8> {
    message(kind::RECORD, &[&of.record(incarnation, left)])
}

/// Everything that was sent, message by message.
pub fn sent(alone: &mut Alone) -> Vec<String> {
    let packets = std::mem::take(&mut alone.world.sent);
    let mut found = Vec::new();
    for (to, packet) in packets {
        let mut rest = &packet[..];
        while !rest.is_empty() {
            let name = match Message::take(&mut rest).unwrap() {
                Message::Ping(..) => "ping".to_owned(),
                Message::Ack(nonce, _) => format!("ack {nonce}"),
                Message::PingReq(_, target) => format!("ping-req {}", target[0]),
                Message::Nack(nonce) => format!("nack {nonce}"),
                Message::Doubt(incarnation) => format!("doubt {}", incarnation - NOW_MS),
                Message::Introduction(keys, ..) => format!("introduction {}", keys.uid[0]),
                Message::Record(about, _) => {
                    format!("record {} {}", about.uid[0], about.incarnation - NOW_MS)
                }
                Message::Accusation(a, _) => {
                    format!("accusation {} {}", a.accuser[0], a.subject[0])
                }
                Message::Verdict(..) => "verdict".to_owned(),
                Message::Event(..) => "event".to_owned(),
                Message::Unknown(kind) => format!("unknown {kind}"),
            };
            found.push(format!("{}: {name}", to.uid[0]));
        }
    }
    found
}
