//! How foca's packets look here: the fewest bytes that do.

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, State};

use crate::peer::Id;

/// A codec without any overhead.
#[derive(Clone, Copy)]
pub struct Plain;

#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

fn put_id(id: &Id, buf: &mut impl BufMut) {
    buf.put_u32(id.node);
    buf.put_u16(id.life);
}

fn get_id(buf: &mut impl Buf) -> Id {
    Id {
        node: buf.get_u32(),
        life: buf.get_u16(),
    }
}

impl Codec<Id> for Plain {
    type Error = Broken;

    fn encode_header(&mut self, header: &Header<Id>, mut buf: impl BufMut) -> Result<(), Broken> {
        put_id(&header.src, &mut buf);
        put_id(&header.dst, &mut buf);
        buf.put_u16(header.src_incarnation);
        let nobody = Id { node: 0, life: 0 };
        let (kind, id, number) = match header.message.clone() {
            Message::Ping(n) => (0, nobody, n),
            Message::Ack(n) => (1, nobody, n),
            Message::PingReq {
                target,
                probe_number,
            } => (2, target, probe_number),
            Message::IndirectPing {
                origin,
                probe_number,
            } => (3, origin, probe_number),
            Message::IndirectAck {
                target,
                probe_number,
            } => (4, target, probe_number),
            Message::ForwardedAck {
                origin,
                probe_number,
            } => (5, origin, probe_number),
            Message::Announce => (6, nobody, 0),
            Message::Feed => (7, nobody, 0),
            Message::Gossip => (8, nobody, 0),
            Message::Broadcast => (9, nobody, 0),
            Message::TurnUndead => (10, nobody, 0),
        };
        buf.put_u8(kind);
        put_id(&id, &mut buf);
        buf.put_u8(number);
        Ok(())
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Id>, Broken> {
        if buf.remaining() < 22 {
            return Err(Broken);
        }
        let (src, dst) = (get_id(&mut buf), get_id(&mut buf));
        let src_incarnation = buf.get_u16();
        let (kind, id, number) = (buf.get_u8(), get_id(&mut buf), buf.get_u8());
        let message = match kind {
            0 => Message::Ping(number),
            1 => Message::Ack(number),
            2 => Message::PingReq {
                target: id,
                probe_number: number,
            },
            3 => Message::IndirectPing {
                origin: id,
                probe_number: number,
            },
            4 => Message::IndirectAck {
                target: id,
                probe_number: number,
            },
            5 => Message::ForwardedAck {
                origin: id,
                probe_number: number,
            },
            6 => Message::Announce,
            7 => Message::Feed,
            8 => Message::Gossip,
            9 => Message::Broadcast,
            _ => Message::TurnUndead,
        };
        Ok(Header {
            src,
            src_incarnation,
            dst,
            message,
        })
    }

    fn encode_member(&mut self, member: &Member<Id>, mut buf: impl BufMut) -> Result<(), Broken> {
        if buf.remaining_mut() < 9 {
            return Err(Broken);
        }
        put_id(member.id(), &mut buf);
        buf.put_u16(member.incarnation());
        buf.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Id>, Broken> {
        if buf.remaining() < 9 {
            return Err(Broken);
        }
        let (id, incarnation) = (get_id(&mut buf), buf.get_u16());
        let state = match buf.get_u8() {
            0 => State::Alive,
            1 => State::Suspect,
            _ => State::Down,
        };
        Ok(Member::new(id, incarnation, state))
    }
}
