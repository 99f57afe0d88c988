//! A membership that hears and is sent anything. Signatures hold or not by a byte of theirs, so that what is behind
//! them is reached.

use swarmlet_core::mesh::{
    Config, Credential, Event, Me, Membership, Message, Now, Peer, Signer, World, CREDENTIAL,
    MAX_BODY, MAX_PAYLOAD, SIGNATURE,
};

const NOW_MS: u64 = 1_800_000_000_000;
const MOST: u32 = 6;
/// Of the answers that carry one.
const DIGEST: usize = 257 * 8;

/// What a membership did; it checks that all of it can be read again.
struct Outside;

impl World for Outside {
    fn send(&mut self, _: Peer, payload: &[u8]) {
        assert!(!payload.is_empty() && payload.len() <= MAX_PAYLOAD);
        assert!(is_readable(payload), "a payload cannot be read");
    }

    fn sync(&mut self, body: &[u8]) {
        assert!(body.len() <= MAX_BODY);
    }

    fn event(&mut self, _: Event<'_>) {}

    fn sign(&mut self, _: u8, _: &[u8]) -> [u8; SIGNATURE] {
        [0x5a; SIGNATURE]
    }

    fn verify(&mut self, _: Signer<'_>, _: u8, _: &[u8], signature: &[u8; SIGNATURE]) -> bool {
        signature[0] != 0xff
    }
}

fn is_readable(mut messages: &[u8]) -> bool {
    while !messages.is_empty() {
        if Message::take(&mut messages).is_none() {
            return false;
        }
    }
    true
}

fn credential(name: u8) -> [u8; CREDENTIAL] {
    let body = Credential {
        uid: [name; 16],
        exchange: [name; 32],
        signing: [name; 32],
        issued_ms: NOW_MS - 1000,
        expires_ms: NOW_MS + 86_400_000,
    }
    .body();
    let mut whole = [0x5a; CREDENTIAL];
    whole[..body.len()].copy_from_slice(&body);
    whole
}

/// An introduction of a member, at 10.0.0.NAME.
pub fn introduction(name: u8) -> Vec<u8> {
    let mut body = credential(name).to_vec();
    body.extend([name; 16]);
    body.extend((NOW_MS - 10).to_be_bytes());
    body.extend([name; 8]);
    body.extend([0, 0, 4, 10, 0, 0, name, 31, 10, 0]);
    body.extend([0x5a; SIGNATURE]);
    let mut message = vec![16];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    message
}

/// One membership among two others.
struct One {
    membership: Membership,
    now: Now,
}

impl One {
    fn new(hub: bool) -> Self {
        let config = Config {
            hub,
            max_members: MOST,
            ..Config::default()
        };
        let now = Now {
            mono_us: 1_000_000_000,
            cluster_ms: NOW_MS,
        };
        let me = Me {
            credential: &credential(1),
            boot: [1; 8],
            addr: ([10, 0, 0, 1], 7946).into(),
            flags: 0,
            meta: b"hi",
        };
        let mut membership = Membership::new(config, &me, 42, now, &mut Outside).unwrap();
        let seeds = [introduction(2), introduction(3)].concat();
        membership.join(&seeds, now, &mut Outside);
        assert_eq!(membership.len(), 3);
        Self { membership, now }
    }

    fn body(&mut self, body: &[u8]) {
        let mut reply = Vec::new();
        self.membership
            .receive_sync(body, self.now, &mut Outside, &mut reply);
        assert!(reply.len() <= MAX_BODY);
        let items = match reply.first() {
            None => &[],
            Some(2) => &reply[1 + DIGEST..],
            Some(3) => &reply[1 + DIGEST..],
            Some(4) => &reply[1..],
            Some(other) => panic!("an answer of kind {other}"),
        };
        assert!(is_readable(items), "an answer cannot be read");
    }

    /// Lets time pass, with the ticks that are due, as far as there are not too many.
    fn pass(&mut self, us: u64) {
        let end = self.now.mono_us + us;
        for _ in 0..64 {
            let due = self.membership.tick(self.now, &mut Outside);
            if self.now.mono_us == end {
                return;
            }
            self.advance(due.clamp(self.now.mono_us + 1, end));
        }
        self.advance(end);
        self.membership.tick(self.now, &mut Outside);
    }

    fn advance(&mut self, mono_us: u64) {
        self.now.cluster_ms += (mono_us - self.now.mono_us) / 1000;
        self.now.mono_us = mono_us;
    }

    fn check(&self) {
        assert_eq!(self.membership.uid(), [1; 16]);
        assert!(self.membership.len() <= MOST as usize);
        assert_eq!(self.membership.members().count(), self.membership.len());
    }
}

/// Takes the next bytes of a script; zeros and nothing where it ends.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> usize {
        self.take(2)
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    }
}

/// Follows a script of packets, bodies, and time.
pub fn membership(data: &[u8]) {
    let mut script = Script(data);
    let mut one = One::new(script.take(1) == [1]);
    for _ in 0..40 {
        let [act, from] = *script.take(2) else {
            break;
        };
        let number = script.number();
        match act % 8 {
            0 => one.pass(number as u64 * 10_000),
            1 => one.now.cluster_ms = (NOW_MS + number as u64 * 1000) - 32_768_000,
            2 => one.body(script.take(number)),
            3 => {
                let payload = script.take(number % 600);
                one.membership.broadcast(payload, one.now, &mut Outside);
            }
            4 => {
                one.membership.leave(one.now, &mut Outside);
            }
            5 => {
                let meta = script.take(number % 80);
                let addr = ([10, 0, 0, from], 7946).into();
                let (me, now) = (&mut one.membership, one.now);
                me.update(addr, from & 1, meta, now, &mut Outside);
            }
            _ => {
                let peer = Peer {
                    uid: [from % 8; 16],
                    addr: ([10, 0, 0, from], 7946).into(),
                };
                let payload = script.take(number.min(MAX_PAYLOAD));
                let (me, now) = (&mut one.membership, one.now);
                me.receive(peer, payload, now, &mut Outside);
            }
        }
        one.check();
    }
    one.pass(5_000_000);
    one.check();
}

/// Takes the bytes as a body of anti-entropy, at a member and at the coordinator, twice.
pub fn sync(data: &[u8]) {
    for hub in [false, true] {
        let mut one = One::new(hub);
        one.body(data);
        one.pass(1_000_000);
        one.body(data);
        one.check();
    }
}
