//! One membership with real signatures, and everything that it did.

use ed25519_dalek::{Signer as _, SigningKey};
use swarmlet_core::mesh::packet::MeshSecret;
use swarmlet_core::mesh::{
    kind, Config, Credential, Event, Keyring, Me, Membership, Now, Peer, Record, Signer, World,
    SIGNATURE,
};
use swarmlet_core::Uid;

pub const CLUSTER: Uid = [0xc1; 16];
pub const NOW_MS: u64 = 1_800_000_000_000;
/// The boot clock when a membership is made.
const START_US: u64 = 1_000_000_000;

/// What a statement's signature covers.
pub fn said(cluster: &Uid, kind: u8, body: &[u8]) -> Vec<u8> {
    [b"swarmlet/mesh/statement/v1\0", &cluster[..], &[kind], body].concat()
}

pub fn signed(seed: &[u8; 32], kind: u8, body: &[u8]) -> Vec<u8> {
    let signature = SigningKey::from_bytes(seed).sign(&said(&CLUSTER, kind, body));
    [body, &signature.to_bytes()].concat()
}

pub fn coordinator() -> [u8; 32] {
    [0xcc; 32]
}

/// The keys of a member.
#[derive(Clone, Copy)]
pub struct Person {
    pub uid: Uid,
    pub seed: [u8; 32],
    pub secret: [u8; 32],
    pub boot: [u8; 8],
}

impl Person {
    pub fn new(name: u8) -> Self {
        Self {
            uid: [name; 16],
            seed: [name ^ 0x55; 32],
            secret: [name ^ 0x77; 32],
            boot: [name; 8],
        }
    }

    pub fn addr(&self) -> std::net::SocketAddr {
        format!("10.0.0.{}:7946", self.uid[0]).parse().unwrap()
    }

    pub fn peer(&self) -> Peer {
        Peer {
            uid: self.uid,
            addr: self.addr(),
        }
    }

    pub fn credential(&self) -> Vec<u8> {
        self.credential_of(NOW_MS - 1000)
    }

    pub fn credential_of(&self, issued_ms: u64) -> Vec<u8> {
        self.credential_until(issued_ms, NOW_MS + 86_400_000)
    }

    pub fn credential_until(&self, issued_ms: u64, expires_ms: u64) -> Vec<u8> {
        let body = Credential {
            uid: self.uid,
            exchange: MeshSecret::new(self.secret).public(),
            signing: SigningKey::from_bytes(&self.seed)
                .verifying_key()
                .to_bytes(),
            issued_ms,
            expires_ms,
        };
        signed(&coordinator(), kind::CREDENTIAL, &body.body())
    }

    /// A record made by the rules of the document, not by the product.
    pub fn record(&self, incarnation: u64, left: bool) -> Vec<u8> {
        let mut body = [&self.uid[..], &incarnation.to_be_bytes(), &self.boot].concat();
        body.extend([u8::from(left), 0, 4, 10, 0, 0, self.uid[0]]);
        body.extend(7946u16.to_be_bytes());
        body.extend([2, b'h', b'i']);
        let whole = signed(&self.seed, kind::RECORD, &body);
        assert!(Record::parse(&whole).is_some());
        whole
    }

    pub fn introduction(&self, incarnation: u64) -> Vec<u8> {
        let parts = [&self.credential()[..], &self.record(incarnation, false)];
        super::message(kind::INTRODUCTION, &parts)
    }
}

/// One membership and its world.
pub struct Alone {
    pub membership: Membership,
    pub world: Recorder,
    pub now: Now,
}

pub struct Recorder {
    pub keyring: Keyring,
    pub sent: Vec<(Peer, Vec<u8>)>,
    pub bodies: Vec<Vec<u8>>,
    pub events: Vec<String>,
    pub verified: usize,
}

impl World for Recorder {
    fn send(&mut self, to: Peer, payload: &[u8]) {
        self.sent.push((to, payload.to_vec()));
    }

    fn sync(&mut self, body: &[u8]) {
        self.bodies.push(body.to_vec());
    }

    fn event(&mut self, event: Event<'_>) {
        let name = match event {
            Event::User(event) => format!("user {}", String::from_utf8_lossy(event.payload)),
            Event::InTouch => "in touch".to_owned(),
            Event::Joined(uid) => format!("joined {}", uid[0]),
            Event::Suspect(uid) => format!("suspect {}", uid[0]),
            Event::Unreachable(uid, why) => format!("unreachable {} {why:?}", uid[0]),
            Event::Back(uid) => format!("back {}", uid[0]),
            Event::Left(uid) => format!("left {}", uid[0]),
            Event::Updated(uid) => format!("updated {}", uid[0]),
            Event::Removed(uid, word) => format!("removed {} {word:?}", uid[0]),
            Event::Expelled(word) => format!("expelled {word:?}"),
            Event::Twin(boot) => format!("twin {}", boot[0]),
        };
        self.events.push(name);
    }

    fn sign(&mut self, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
        self.keyring.sign(kind, body)
    }

    fn verify(
        &mut self,
        signer: Signer<'_>,
        kind: u8,
        body: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> bool {
        self.verified += 1;
        self.keyring.verify(signer, kind, body, signature)
    }
}

impl Alone {
    pub fn new(person: &Person, config: Config) -> Self {
        let public = SigningKey::from_bytes(&coordinator())
            .verifying_key()
            .to_bytes();
        let mut world = Recorder {
            keyring: Keyring::new(&person.seed, public, CLUSTER),
            sent: Vec::new(),
            bodies: Vec::new(),
            events: Vec::new(),
            verified: 0,
        };
        let now = Now {
            mono_us: START_US,
            cluster_ms: NOW_MS,
        };
        let me = Me {
            credential: &person.credential(),
            boot: person.boot,
            addr: person.addr(),
            flags: 0,
            meta: b"hi",
        };
        let membership = Membership::new(config, &me, 42, now, &mut world).unwrap();
        Self {
            membership,
            world,
            now,
        }
    }

    /// Makes one that knows others.
    pub fn among(person: &Person, others: &[Person]) -> Self {
        let mut made = Self::new(person, Config::default());
        let seeds: Vec<u8> = others.iter().flat_map(|p| p.introduction(NOW_MS)).collect();
        made.membership.join(&seeds, made.now, &mut made.world);
        made.world.sent.clear();
        made.world.events.clear();
        made
    }

    pub fn receive(&mut self, from: &Person, messages: &[u8]) {
        let peer = from.peer();
        self.membership
            .receive(peer, messages, self.now, &mut self.world);
    }

    /// Lets time pass, with every tick that is due.
    pub fn pass(&mut self, us: u64) {
        let end = self.now.mono_us + us;
        loop {
            let due = self.membership.tick(self.now, &mut self.world);
            if self.now.mono_us == end {
                return;
            }
            let next = due.clamp(self.now.mono_us + 1, end);
            self.now.mono_us = next;
            self.now.cluster_ms = NOW_MS + (next - START_US) / 1000;
        }
    }

    pub fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.world.events)
    }
}
