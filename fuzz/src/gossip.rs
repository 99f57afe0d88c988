//! Packets, the messages in them, and the statements in those.

use std::sync::OnceLock;

use swarmlet_core::mesh::packet::{
    Dropped, MeshSecret, Packets, PeerKeys, HEADER, MAX_PACKET, OVERHEAD,
};
use swarmlet_core::mesh::{
    Accusation, Credential, Message, Record, UserEvent, Verdict, MAX_EVENT, MAX_META, MAX_PAYLOAD,
    SIGNATURE,
};

const NOW: u64 = 1_800_000_000_000;

/// Messages are taken from the front, whole or not at all.
pub fn messages(data: &[u8]) {
    let mut rest = data;
    while !rest.is_empty() {
        let before = rest;
        let Some(message) = Message::take(&mut rest) else {
            assert_eq!(rest, before, "a part of a message was taken");
            break;
        };
        let length = usize::from(before[1]) << 8 | usize::from(before[2]);
        assert_eq!(before.len() - rest.len(), 3 + length);
        let body = &before[3..3 + length];
        match message {
            Message::Introduction(keys, first, about, second) => {
                assert_eq!(keys.uid, about.uid);
                assert_eq!([first, second].concat(), body);
            }
            Message::Record(_, whole)
            | Message::Accusation(_, whole)
            | Message::Verdict(_, whole)
            | Message::Event(_, whole) => assert_eq!(whole, body),
            _ => {}
        }
    }
}

/// Statements of fixed layout have one encoding; the others are in their bounds.
pub fn statements(data: &[u8]) {
    let body = data.len().checked_sub(SIGNATURE).map(|end| &data[..end]);
    if let Some(read) = Credential::parse(data) {
        assert_eq!(Some(&read.body()[..]), body);
    }
    if let Some(read) = Accusation::parse(data) {
        assert_eq!(Some(&read.body()[..]), body);
    }
    if let Some(read) = Verdict::parse(data) {
        assert_eq!(Some(&read.body()[..]), body);
    }
    if let Some(read) = UserEvent::parse(data) {
        assert!(read.payload.len() <= MAX_EVENT);
    }
    if let Some(read) = Record::parse(data) {
        let ip = read.addr.ip();
        assert!(read.meta.len() <= MAX_META);
        assert!(!ip.is_multicast() && !ip.is_unspecified());
    }
}

/// A packet is opened when it is what was sealed, and else it is not; what is no packet changes nothing about that.
///
/// The first byte is how many changes of three bytes follow; the rest is the payload, and a datagram by itself.
pub fn packet(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else {
        return;
    };
    let (changes, payload) = rest.split_at((usize::from(*count) * 3).min(rest.len()));
    let epoch = epoch_of(data);
    let (mut sender, mut receiver) = (side(1, epoch), side(2, epoch));
    let [known, to] = *keys();
    let mut named = payload.to_vec();
    if named.len() >= HEADER {
        named[..2].copy_from_slice(&[1, 5]);
        named[2..18].fill(1);
    }
    for mut datagram in [payload.to_vec(), named] {
        let opened = receiver.open(&mut datagram, NOW, |_| Some(known));
        assert!(opened.is_err(), "a stranger was heard");
    }
    let mut out = [0; MAX_PACKET];
    let sealed = sender.seal(&[2; 16], &to, NOW, payload, &mut out);
    assert_eq!(sealed.is_ok(), payload.len() <= MAX_PAYLOAD);
    let Ok(length) = sealed else {
        return;
    };
    assert_eq!(length, OVERHEAD + payload.len());
    let good = out[..length].to_vec();
    let mut bad = good.clone();
    for change in changes.chunks_exact(3) {
        let at = usize::from(change[0]) << 8 | usize::from(change[1]);
        bad[at % length] ^= change[2];
    }
    if bad != good {
        let opened = receiver.open(&mut bad, NOW, |_| Some(known));
        assert!(opened.is_err(), "a changed packet was opened");
    }
    for expected in [Ok(payload), Err(Dropped::Replay)] {
        let mut datagram = good.clone();
        let opened = receiver.open(&mut datagram, NOW, |_| Some(known));
        assert_eq!(opened.map(|(_, messages)| messages), expected);
    }
}

/// Of both sides; made once, as they cost most of a run.
fn keys() -> &'static [PeerKeys; 2] {
    static KEYS: OnceLock<[PeerKeys; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        [1, 2].map(|name| PeerKeys {
            exchange: MeshSecret::new([name ^ 0x77; 32]).public(),
            boot: [name; 8],
        })
    })
}

/// A key that is another one for each input: libFuzzer sees what is compared, and sends a packet of the last run as its own.
fn epoch_of(data: &[u8]) -> [u8; 32] {
    let mut key = [5; 32];
    for (at, byte) in data.iter().enumerate() {
        key[at % 32] = (key[at % 32] ^ byte).wrapping_mul(0x9d).rotate_left(3);
    }
    key
}

fn side(name: u8, epoch: [u8; 32]) -> Packets {
    let secret = MeshSecret::new([name ^ 0x77; 32]);
    let mut packets = Packets::new([name; 16], [name; 8], [0xc1; 16], secret, 4);
    packets.set_epoch(5, MeshSecret::new(epoch), 5);
    packets
}
