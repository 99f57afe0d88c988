//! Tokens: one text for one token, every damage refused, proofs bound to their connection (T1, T2, T4).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use proptest::collection::vec;
use proptest::prelude::*;
use swarmlet_core::claims::Claims;
use swarmlet_core::token::{self, Seed, Token, TokenError, MAX_TEXT, PREFIX};
use swarmlet_core::Failure;

fn seed(bytes: [u8; 32]) -> Seed {
    Seed::fill(|place| {
        *place = bytes;
        Ok::<(), ()>(())
    })
    .unwrap()
}

fn cidr() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<u32>(), 0u32..=32).prop_map(|(bits, count)| {
            let network = bits
                .checked_shr(32 - count)
                .unwrap_or(0)
                .checked_shl(32 - count)
                .unwrap_or(0);
            format!("{}/{count}", std::net::Ipv4Addr::from_bits(network))
        }),
        (any::<u128>(), 0u32..=96).prop_map(|(bits, count)| {
            let network = (bits | 1 << 127)
                .checked_shr(128 - count)
                .unwrap_or(0)
                .checked_shl(128 - count)
                .unwrap_or(0);
            format!("{}/{count}", std::net::Ipv6Addr::from_bits(network))
        }),
    ]
}

fn unique(texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    texts
        .into_iter()
        .filter(|text| seen.insert(text.clone()))
        .collect()
}

fn claims() -> impl Strategy<Value = Claims> {
    let ids = (
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<[u8; 8]>(),
        any::<[u8; 32]>(),
        any::<bool>(),
    );
    let times = (0u64..1 << 33, 1u64..1 << 33, 1u64..=1_000_000);
    let lists = (
        vec("[a-z]{1,20}:[1-9][0-9]{0,3}", 0..=4).prop_map(unique),
        vec(cidr(), 0..=8).prop_map(unique),
        vec("[A-Za-z0-9_-]{1,12}", 0..=4).prop_map(unique),
        vec("[a-z]{1,8}", 0..=4).prop_map(unique),
    );
    let texts = (
        "[a-z\u{e4}\u{4e2d}][a-z \u{e4}]{0,20}[a-z]",
        "[ -~&&[^ ]]{0,40}",
    );
    (ids, times, lists, texts).prop_map(|(ids, times, lists, texts)| Claims {
        cluster_id: ids.0,
        cluster_name: texts.0,
        jti: ids.1,
        kid: ids.2,
        issued_s: times.0,
        expires_s: times.0 + times.1,
        ca_pins: if ids.4 {
            vec![ids.3]
        } else {
            vec![ids.3, [7; 32]]
        },
        endpoints: lists.0,
        max_uses: times.2,
        cidrs: lists.1,
        node_classes: lists.2,
        allow: lists.3,
        name_pattern: texts.1,
        key: seed(ids.3).public_key(),
    })
}

/// A token of these claims; its seed is the pin, which is as random as any.
fn text_of(claims: &Claims) -> String {
    let signed = token::sign_claims(&[5; 32], &claims.encode().unwrap());
    seed(claims.ca_pins[0])
        .assemble(&signed)
        .unwrap()
        .to_string()
}

proptest! {
    #[test]
    fn t1_claims_have_one_encoding(claims in claims()) {
        let bytes = claims.encode().unwrap();
        prop_assert_eq!(&Claims::decode(&bytes).unwrap(), &claims);
        prop_assert!(swarmlet_core::msgpack::check(&bytes).is_ok());
        let text = text_of(&claims);
        prop_assert!(text.len() <= MAX_TEXT);
        let token = Token::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(token.claims(), &claims);
        prop_assert_eq!(seed(claims.ca_pins[0]).assemble(token.signed()).unwrap().to_string(), text);
    }

    #[test]
    fn t1_what_decodes_encodes_to_the_same_bytes(claims in claims(), at: prop::sample::Index, byte: u8, cut: bool) {
        let mut bytes = claims.encode().unwrap();
        let place = at.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] = byte;
        }
        if let Ok(decoded) = Claims::decode(&bytes) {
            prop_assert_eq!(decoded.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn random_bytes_are_no_token(bytes in vec(any::<u8>(), 0..1200)) {
        prop_assert!(Token::parse(&bytes).is_err());
        prop_assert!(token::decode_signed(&bytes).is_err());
        prop_assert!(Token::parse(&[PREFIX.as_bytes(), &bytes].concat()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Tokens of every shape; [`t1_every_single_bit_flip_of_1_000_tokens_is_refused`] has the number.
    #[test]
    fn t1_every_single_bit_flip_is_refused(claims in claims()) {
        prop_assert_eq!(accepted_flip(text_of(&claims).into_bytes()), None);
    }

    /// Below the checksum too: whoever makes a new one meets the signature, the seed and the one encoding.
    #[test]
    fn t1_every_bit_flip_of_signed_claims_is_refused_by_decoder_or_signature(claims in claims()) {
        let key = seed([5; 32]).public_key();
        let signed = token::sign_claims(&[5; 32], &claims.encode().unwrap());
        prop_assert!(token::verify_claims(&signed, &key));
        for bit in (0..signed.len() * 8).step_by(37) {
            let mut damaged = signed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!token::verify_claims(&damaged, &key), "bit {}", bit);
        }
    }
}

/// Flips every bit of a token's text in turn; returns the first whose flip made another token of it.
fn accepted_flip(mut text: Vec<u8>) -> Option<usize> {
    for bit in 0..text.len() * 8 {
        text[bit / 8] ^= 1 << (bit % 8);
        if Token::parse(&text).is_ok() {
            return Some(bit);
        }
        text[bit / 8] ^= 1 << (bit % 8);
    }
    None
}

/// A tenth of the number that T1 asks for: some three million damaged texts, on as many threads as there are.
#[test]
fn t1_every_single_bit_flip_of_1_000_tokens_is_refused() {
    flip_all(0..1000);
}

/// The rest of it, 80 seconds of one processor: `cargo test -p swarmlet-core --test token -- --ignored`.
#[test]
#[ignore = "takes a minute"]
fn t1_every_single_bit_flip_of_10_000_tokens_is_refused() {
    flip_all(1000..10_000);
}

fn flip_all(tokens: std::ops::Range<usize>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let tokens = tokens.clone();
            scope.spawn(move || {
                for number in tokens.skip(first).step_by(threads) {
                    let mut claims = example();
                    claims.key = seed(claims.ca_pins[0]).public_key();
                    claims.jti = (number as u128)
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                        .to_be_bytes();
                    claims.max_uses = number as u64 + 1;
                    let text = text_of(&claims).into_bytes();
                    assert_eq!(accepted_flip(text), None, "token {number}");
                }
            });
        }
    });
}

fn example() -> Claims {
    let vectors = common::vectors("tokens.txt");
    Claims::decode(&vectors["token.claims"]).unwrap()
}

#[test]
fn t1_each_bound_is_kept() {
    let long = |count: usize| "x".repeat(count);
    let texts = |count: usize| {
        (0..count)
            .map(|number| format!("a{number}"))
            .collect::<Vec<_>>()
    };
    let ports = |count: usize| {
        (0..count)
            .map(|number| format!("a:{}", number + 1))
            .collect::<Vec<_>>()
    };
    type Change = Box<dyn Fn(&mut Claims)>;
    let bad: Vec<(&str, Change)> = vec![
        ("cluster name", Box::new(|c| c.cluster_name.clear())),
        ("cluster name", Box::new(move |c| c.cluster_name = long(64))),
        (
            "cluster name",
            Box::new(|c| c.cluster_name = "a\u{1b}[2J".into()),
        ),
        ("cluster name", Box::new(|c| c.cluster_name = " a".into())),
        ("expiry", Box::new(|c| c.expires_s = c.issued_s)),
        ("expiry", Box::new(|c| c.expires_s = 253_402_300_800)),
        ("ca pins", Box::new(|c| c.ca_pins.clear())),
        ("ca pins", Box::new(|c| c.ca_pins = vec![[1; 32], [1; 32]])),
        (
            "ca pins",
            Box::new(|c| c.ca_pins = vec![[1; 32], [2; 32], [3; 32]]),
        ),
        ("endpoints", Box::new(move |c| c.endpoints = ports(5))),
        ("endpoints", Box::new(|c| c.endpoints = vec!["host".into()])),
        (
            "endpoints",
            Box::new(|c| c.endpoints = vec!["host:0".into()]),
        ),
        (
            "endpoints",
            Box::new(|c| c.endpoints = vec!["host:07946".into()]),
        ),
        (
            "endpoints",
            Box::new(|c| c.endpoints = vec!["host:70000".into()]),
        ),
        (
            "endpoints",
            Box::new(|c| c.endpoints = vec![":7946".into()]),
        ),
        (
            "endpoints",
            Box::new(|c| c.endpoints = vec!["fd00::1:7946".into()]),
        ),
        (
            "endpoints",
            Box::new(|c| c.endpoints = vec!["a b:7946".into()]),
        ),
        ("uses", Box::new(|c| c.max_uses = 0)),
        ("uses", Box::new(|c| c.max_uses = 1_000_001)),
        (
            "networks",
            Box::new(|c| c.cidrs = vec!["10.0.0.1/8".into()]),
        ),
        (
            "networks",
            Box::new(|c| c.cidrs = vec!["10.0.0.0/08".into()]),
        ),
        (
            "networks",
            Box::new(|c| c.cidrs = vec!["10.0.0.0/33".into()]),
        ),
        ("networks", Box::new(|c| c.cidrs = vec!["10.0.0.0".into()])),
        (
            "networks",
            Box::new(|c| c.cidrs = vec!["::ffff:10.0.0.0/104".into()]),
        ),
        ("networks", Box::new(|c| c.cidrs = vec!["FD00::/8".into()])),
        ("networks", Box::new(|c| c.cidrs = vec!["fd00::1/8".into()])),
        (
            "networks",
            Box::new(|c| c.cidrs = vec!["10.0.0.0/8".into(), "10.0.0.0/8".into()]),
        ),
        ("node classes", Box::new(move |c| c.node_classes = texts(9))),
        (
            "node classes",
            Box::new(|c| c.node_classes = vec![String::new()]),
        ),
        ("capabilities", Box::new(|c| c.allow = vec!["a b".into()])),
        (
            "capabilities",
            Box::new(|c| c.allow = vec!["gpu".into(), "gpu".into()]),
        ),
        ("name pattern", Box::new(|c| c.name_pattern = "a b".into())),
        (
            "name pattern",
            Box::new(|c| c.name_pattern = "x".repeat(64)),
        ),
    ];
    for (claim, change) in bad {
        let mut claims = example();
        change(&mut claims);
        assert_eq!(claims.encode(), Err(claim), "{claims:?}");
    }
}

#[test]
fn t1_the_longest_claims_fit_into_1_kib_and_longer_ones_are_refused() {
    let mut claims = example();
    claims.key = seed([1; 32]).public_key();
    claims.endpoints = vec![
        format!("{}:7946", "h".repeat(40)),
        format!("{}:7946", "i".repeat(200)),
    ];
    let spare = 656 - claims.encode().unwrap().len();
    claims.endpoints[0].insert_str(0, &"h".repeat(spare));
    let signed = token::sign_claims(&[5; 32], &claims.encode().unwrap());
    assert_eq!(seed([1; 32]).assemble(&signed).unwrap().len(), MAX_TEXT);
    claims.endpoints[0].insert(0, 'h');
    assert_eq!(claims.encode(), Err("length of all together"));
}

#[test]
fn longer_forms_of_the_same_claims_are_refused() {
    let bytes = example().encode().unwrap();
    let wide_version = [&bytes[..1], &[0xcc, 1], &bytes[2..]].concat();
    assert_eq!(Claims::decode(&wide_version), Err("encoding"));
    let wide_array = [&[0xdc, 0, 15], &bytes[1..]].concat();
    assert_eq!(Claims::decode(&wide_array), Err("encoding"));
    assert_eq!(
        Claims::decode(&[&bytes[..], &[0]].concat()),
        Err("encoding")
    );
    let mut other_version = bytes.clone();
    other_version[1] = 2;
    assert_eq!(Claims::decode(&other_version), Err("encoding"));
}

#[test]
fn golden_token_and_proof() {
    let vectors = common::vectors("tokens.txt");
    let text = std::str::from_utf8(&vectors["token.text"]).unwrap();
    let coordinator: [u8; 32] = vectors["coordinator.seed"].clone().try_into().unwrap();
    let signed = token::sign_claims(&coordinator, &vectors["token.claims"]);
    assert_eq!(signed, vectors["token.signed"]);
    let own = seed(vectors["token.seed"].clone().try_into().unwrap());
    assert_eq!(own.assemble(&signed).unwrap().as_str(), text);
    let token = Token::parse(format!(" {text}\n").as_bytes()).unwrap();
    assert_eq!(token.claims().max_uses, 300);
    let exporter = vectors["proof.exporter"].clone().try_into().unwrap();
    let proof = token.proof(&vectors["proof.csr"], &exporter);
    assert_eq!(proof.as_slice(), vectors["proof.signature"]);
    assert!(token::verify_claims(&signed, &vectors["coordinator.key"]));
    assert!(token::verify_proof(
        &signed,
        &vectors["proof.csr"],
        &exporter,
        &proof
    ));
}

#[test]
fn t4_a_proof_holds_for_its_token_csr_and_connection_only() {
    let vectors = common::vectors("tokens.txt");
    let signed = &vectors["token.signed"];
    let token = Token::parse(&vectors["token.text"]).unwrap();
    let proof = token.proof(b"csr", &[1; 32]);
    assert!(token::verify_proof(signed, b"csr", &[1; 32], &proof));
    assert!(
        !token::verify_proof(signed, b"csr", &[2; 32], &proof),
        "another connection"
    );
    assert!(
        !token::verify_proof(signed, b"other", &[1; 32], &proof),
        "another key"
    );
    let mut other = signed.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(
        !token::verify_proof(&other, b"csr", &[1; 32], &proof),
        "another signature"
    );
    assert!(!token::verify_proof(signed, b"csr", &[1; 32], &proof[..63]));
}

#[test]
fn each_refusal_has_its_kind() {
    let text = String::from_utf8(common::vectors("tokens.txt")["token.text"].clone()).unwrap();
    let kind = |text: &str| Token::parse(text.as_bytes()).unwrap_err().kind();
    assert_eq!(kind(""), "token-prefix");
    assert_eq!(kind("swarm_join"), "token-prefix");
    assert_eq!(kind("swarm_join_abc123def456"), "token-length");
    assert_eq!(kind(&format!("{text}{}", "A".repeat(1000))), "token-length");
    assert_eq!(kind(&text.replace('A', "=")), "token-encoding");
    assert_eq!(kind(&text[..text.len() - 1]), "token-checksum");
    assert_eq!(kind(&resummed(&text, |body| body[0] = 2)), "token-version");
    assert_eq!(
        kind(&resummed(&text, |body| body[2] ^= 1)),
        "token-encoding",
        "lengths that do not add up"
    );
    assert_eq!(kind(&resummed(&text, |body| body[4] = 2)), "token-claims");
    assert_eq!(
        kind(&resummed(&text, |body| *body.last_mut().unwrap() ^= 1)),
        "token-seed"
    );
}

/// Changes the bytes inside a token and makes its checksum right again.
fn resummed(text: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let coded = &text[PREFIX.len()..text.len() - 6];
    let bits: String = coded
        .bytes()
        .map(|c| format!("{:06b}", DIGITS.iter().position(|d| *d == c).unwrap()))
        .collect();
    let mut body: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap())
        .collect();
    change(&mut body);
    let code = |bytes: &[u8]| -> String {
        let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
        bits.as_bytes()
            .chunks(6)
            .map(|b| {
                usize::from_str_radix(&format!("{:0<6}", std::str::from_utf8(b).unwrap()), 2)
                    .unwrap()
            })
            .map(|digit| char::from(DIGITS[digit]))
            .collect()
    };
    let text = format!("{PREFIX}{}", code(&body));
    let mut sum = u32::MAX;
    for byte in text.bytes() {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            };
        }
    }
    format!("{text}{}", code(&(!sum).to_be_bytes()))
}

#[test]
fn t11_debug_shows_no_secret() {
    let vectors = common::vectors("tokens.txt");
    let token = Token::parse(&vectors["token.text"]).unwrap();
    assert_eq!(
        format!("{token:?}"),
        "Token(101112131415161718191a1b1c1d1e1f, redacted)"
    );
    assert_eq!(format!("{:?}", seed([1; 32])), "Seed(redacted)");
    let failures = [
        TokenError::Prefix,
        TokenError::Checksum,
        TokenError::Seed,
        TokenError::Claims("uses"),
    ];
    assert!(failures
        .iter()
        .all(|failure| !failure.to_string().contains("swarm_join_AQ")));
}

#[test]
fn a_seed_makes_no_token_of_other_claims() {
    let signed = &common::vectors("tokens.txt")["token.signed"];
    assert_eq!(
        seed([1; 32]).assemble(signed).unwrap_err(),
        TokenError::Seed
    );
    assert_eq!(
        seed([1; 32]).assemble(&signed[1..]).unwrap_err().kind(),
        "token-claims"
    );
}
