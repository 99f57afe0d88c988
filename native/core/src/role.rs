//! Who a peer is, as the URI in its certificate says.

use crate::Uid;

/// What a peer is, as its certificate's URI says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A coordinator.
    Coordinator,
    /// The node with this uid.
    Node(Uid),
}

/// Reads `swarmlet://<cluster id hex>/node/<uid>` or `swarmlet://<cluster id hex>/coordinator`, lower case only.
pub fn parse_role(uri: &str) -> Option<([u8; 16], Role)> {
    let (cluster, role) = uri.strip_prefix("swarmlet://")?.split_once('/')?;
    let cluster = parse_hex(cluster)?;
    match role.strip_prefix("node/") {
        Some(uid) => Some((cluster, Role::Node(parse_uid(uid)?))),
        None => (role == "coordinator").then_some((cluster, Role::Coordinator)),
    }
}

/// Reads the lower-case text of a UUID.
pub fn parse_uid(text: &str) -> Option<Uid> {
    let dashes = [8, 13, 18, 23];
    let bytes = text.as_bytes();
    if bytes.len() != 36 || dashes.iter().any(|at| bytes.get(*at) != Some(&b'-')) {
        return None;
    }
    let mut digits = [0u8; 32];
    let kept = bytes
        .iter()
        .enumerate()
        .filter(|(at, _)| !dashes.contains(at))
        .map(|(_, byte)| byte);
    digits
        .iter_mut()
        .zip(kept)
        .for_each(|(digit, byte)| *digit = *byte);
    parse_hex(std::str::from_utf8(&digits).ok()?)
}

/// Writes a UUID as lower-case text.
pub fn format_uid(uid: &Uid) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text
}

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    if digits.len() != 32
        || !digits
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}
