//! Frames, fixed layouts, control messages, certificates, tokens.

use swarmlet_core::claims::Claims;
use swarmlet_core::frame::{encode, Decoder, FrameError, HEADER, MAX_PAYLOAD};
use swarmlet_core::heartbeat::{Heartbeat, HeartbeatAck, Lease, Reading};
use swarmlet_core::msgpack::{self, MsgpackError};
use swarmlet_core::token::{self, Seed, Token};
use swarmlet_core::x509::{format_uid, parse_role, parse_uid, Certificate};

/// Frames are the same however the bytes are split, each has one encoding, and nothing is held for a promise.
pub fn frames(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let (whole, refused) = decode(bytes, usize::MAX);
    let (pieces, also_refused) = decode(bytes, usize::from(*size) + 1);
    assert_eq!((&whole, refused), (&pieces, also_refused));
    assert!(bytes.starts_with(&whole), "a frame has another encoding");
}

/// Returns the frames that came, encoded again.
fn decode(bytes: &[u8], size: usize) -> (Vec<u8>, Option<FrameError>) {
    let (mut decoder, mut again, mut arrived) = (Decoder::default(), Vec::new(), 0);
    for mut piece in bytes.chunks(size.min(bytes.len().max(1))) {
        arrived += piece.len();
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(frame)) => {
                    encode(frame.kind, frame.stream, frame.payload, &mut again).unwrap();
                }
                Ok(None) => break,
                Err(cause) => return (again, Some(cause)),
            }
        }
        assert!(piece.is_empty(), "not all of the input was used");
        assert!(decoder.allocated() <= 2 * (HEADER + MAX_PAYLOAD).min(arrived.max(64)));
    }
    assert_eq!(decoder.is_at_boundary(), again.len() == bytes.len());
    (again, None)
}

/// A heartbeat, an acknowledgement and a lease each have one encoding.
pub fn fixed(data: &[u8]) {
    if let Some(read) = Heartbeat::decode(data) {
        assert_eq!(read.encode().as_slice(), data);
        assert_eq!(Reading::saturating(read.reading.fields()), read.reading);
    }
    if let Some(read) = HeartbeatAck::decode(data) {
        assert_eq!(read.encode().as_slice(), data);
    }
    if let Some(read) = Lease::decode(data) {
        assert_eq!(read.encode().as_slice(), data);
        assert_eq!(Lease::new(read.heartbeat_ms, read.lease_ms), Some(read));
    }
}

/// A control message ends where it ends: cut short it is none, and nothing may follow it.
pub fn control(data: &[u8]) {
    if msgpack::check(data).is_err() {
        return;
    }
    let longer = [data, &[0xc0]].concat();
    assert_eq!(msgpack::check(&longer), Err(MsgpackError::Trailing(1)));
    for cut in [0, data.len() / 2, data.len() - 1] {
        assert_eq!(msgpack::check(&data[..cut]), Err(MsgpackError::Truncated));
    }
}

/// Claims have one encoding.
pub fn claims(data: &[u8]) {
    if let Ok(read) = Claims::decode(data) {
        assert_eq!(read.encode().unwrap(), data);
        assert!(msgpack::check(data).is_ok());
    }
}

/// A token's text is read, or is not; one that is made of the same claims is always read.
///
/// The checksum keeps most texts away from what is behind it: the same bytes are read as signed claims too.
pub fn token(data: &[u8]) {
    if let Ok(read) = Token::parse(data) {
        assert_eq!(
            token::decode_signed(read.signed()).as_ref(),
            Ok(read.claims())
        );
    }
    let Ok(claims) = token::decode_signed(data) else {
        return;
    };
    token::verify_claims(data, &claims.key);
    let seed = Seed::fill(|place| {
        place.fill(0x5a);
        Ok::<_, ()>(())
    })
    .unwrap();
    let bound = Claims {
        key: seed.public_key(),
        ..claims
    };
    let signed = token::sign_claims(&[1; 32], &bound.encode().unwrap());
    if let Ok(text) = seed.assemble(&signed) {
        let read = Token::parse(text.as_bytes()).unwrap();
        assert_eq!((read.signed(), read.claims()), (&signed[..], &bound));
    }
}

/// What a certificate says lies inside of it, and a role has one text.
pub fn certificate(data: &[u8]) {
    if let Some(uid) = std::str::from_utf8(data).ok().and_then(parse_uid) {
        assert_eq!(format_uid(&uid).as_bytes(), data);
    }
    let Ok(read) = Certificate::read(data) else {
        return;
    };
    let inside = |part: &[u8]| data.windows(part.len()).any(|window| window == part);
    assert!(inside(read.spki) && inside(read.serial));
    assert!(!read.serial.is_empty() && read.serial[0] != 0);
    assert!(read
        .uris()
        .all(|uri| uri.is_ascii() && (uri.is_empty() || inside(uri.as_bytes()))));
    assert!(read.ed25519_key().is_none_or(|key| inside(&key)));
    if let Some(role) = read.role() {
        assert!(read.uris().filter_map(parse_role).any(|said| said == role));
    }
}
