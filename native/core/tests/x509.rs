//! The certificate reader: right on real certificates, a refusal and never a panic on anything else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use proptest::prelude::*;
use swarmlet_core::x509::{
    format_uid, parse_role, parse_uid, Certificate, CertificateError, Role, MAX_CERTIFICATE,
};

const NAMES: [&str; 5] = ["root", "node", "coordinator", "two-roles", "other-uri"];
const CLUSTER: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const NODE: [u8; 16] = [
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
];

#[test]
fn golden_certificates_are_read_as_another_library_wrote_them() {
    let vectors = common::vectors("certificates.txt");
    for name in NAMES {
        let part = |part: &str| &vectors[&format!("{name}.{part}")][..];
        let read = Certificate::read(part("der")).unwrap();
        assert_eq!(read.serial, part("serial"), "{name}");
        assert_eq!(
            read.not_before_ms.to_be_bytes(),
            part("not_before_ms"),
            "{name}"
        );
        assert_eq!(
            read.not_after_ms.to_be_bytes(),
            part("not_after_ms"),
            "{name}"
        );
        assert_eq!(read.spki, part("spki"), "{name}");
        assert_eq!(read.ed25519_key().unwrap(), part("spki")[12..], "{name}");
        assert_eq!(read.is_ca, part("is_ca") == [1], "{name}");
        assert_eq!(
            read.uris().collect::<Vec<_>>().join("\n").as_bytes(),
            part("uris"),
            "{name}"
        );
    }
}

#[test]
fn a_role_is_named_by_exactly_one_uri() {
    let vectors = common::vectors("certificates.txt");
    let role = |name: &str| {
        Certificate::read(&vectors[&format!("{name}.der")])
            .unwrap()
            .role()
    };
    assert_eq!(role("root"), None);
    assert_eq!(role("node"), Some((CLUSTER, Role::Node(NODE))));
    assert_eq!(role("coordinator"), Some((CLUSTER, Role::Coordinator)));
    assert_eq!(role("two-roles"), None);
    assert_eq!(role("other-uri"), Some((CLUSTER, Role::Node(NODE))));
}

#[test]
fn role_texts_have_one_form() {
    let cluster = "000102030405060708090a0b0c0d0e0f";
    let uid = "00112233-4455-6677-8899-aabbccddeeff";
    assert_eq!(
        parse_role(&format!("swarmlet://{cluster}/node/{uid}")),
        Some((CLUSTER, Role::Node(NODE)))
    );
    for bad in [
        format!("swarmlet://{cluster}/node/{}", uid.to_uppercase()),
        format!("swarmlet://{}/coordinator", cluster.to_uppercase()),
        format!("swarmlet://{cluster}/coordinator/"),
        format!("swarmlet://{cluster}/node/{uid}/"),
        format!("swarmlet://{cluster}/node/+{}", &uid[1..]),
        format!("swarmlet://{cluster}0/coordinator"),
        format!("swarmlet://+{}/coordinator", &cluster[1..]),
        format!("swarmlet:/{cluster}/coordinator"),
        format!("swarmlet://{cluster}/admin"),
        format!("swarmlet://{cluster}"),
        String::new(),
    ] {
        assert_eq!(parse_role(&bad), None, "{bad}");
    }
    assert_eq!(
        parse_uid(uid).map(|uid| format_uid(&uid)).as_deref(),
        Some(uid)
    );
}

fn node_der() -> Vec<u8> {
    common::vectors("certificates.txt")
        .remove("node.der")
        .unwrap()
}

fn use_all(der: &[u8]) -> Option<()> {
    let read = Certificate::read(der).ok()?;
    read.role();
    read.uris().for_each(drop);
    read.ed25519_key().map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        use_all(&bytes);
    }

    #[test]
    fn mutated_certificates_never_panic(which in prop::sample::select(NAMES.to_vec()), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut der = common::vectors("certificates.txt").remove(&format!("{which}.der")).unwrap();
        for (at, byte) in changes {
            let place = at.index(der.len());
            der[place] = byte;
        }
        use_all(&der);
    }
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    let der = node_der();
    for length in 0..der.len() {
        assert!(
            Certificate::read(&der[..length]).is_err(),
            "cut to {length} bytes"
        );
    }
    assert!(Certificate::read(&[&der[..], &[0]].concat()).is_err());
}

#[test]
fn c9_a_certificate_over_the_limit_is_refused_unread() {
    let der = vec![0x30; MAX_CERTIFICATE + 1];
    assert_eq!(
        Certificate::read(&der),
        Err(CertificateError::TooLarge(MAX_CERTIFICATE + 1))
    );
}

/// Puts tag and shortest length before content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..=127 => vec![short as u8],
        middle @ 128..=255 => vec![0x81, middle as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [vec![tag], length, content.to_vec()].concat()
}

/// A certificate with parts of choice; nothing in it is signed.
fn certificate(serial: &[u8], validity: &[u8], extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[0xa0, 3, 2, 1, 2][..],
        &element(2, serial),
        &element(0x30, &[]),
        &element(0x30, &[]),
        &element(0x30, validity),
        &element(0x30, &[]),
        &element(0x30, &[5, 0]),
        &element(0xa3, &element(0x30, extensions)),
    ]
    .concat();
    element(
        0x30,
        &[element(0x30, &body), element(0x30, &[]), element(3, &[0])].concat(),
    )
}

fn times(tag: u8, text: &str) -> Vec<u8> {
    [
        element(tag, text.as_bytes()),
        element(0x17, b"700101000000Z"),
    ]
    .concat()
}

fn start(tag: u8, text: &str) -> Option<i64> {
    Certificate::read(&certificate(&[1], &times(tag, text), &[]))
        .ok()
        .map(|read| read.not_before_ms)
}

#[test]
fn times_are_read_over_all_centuries() {
    assert_eq!(start(0x17, "700101000000Z"), Some(0));
    assert_eq!(start(0x17, "491231235959Z"), Some(2_524_607_999_000));
    assert_eq!(start(0x17, "500101000000Z"), Some(-631_152_000_000));
    assert_eq!(start(0x18, "20000229000000Z"), Some(951_782_400_000));
    assert_eq!(start(0x18, "99991231235959Z"), Some(253_402_300_799_000));
    assert_eq!(start(0x18, "19000301000000Z"), Some(-2_203_891_200_000));
    for bad in [
        "20230229000000Z",
        "21000229000000Z",
        "20240000000000Z",
        "20241301000000Z",
        "20240101240000Z",
    ] {
        assert_eq!(start(0x18, bad), None, "{bad}");
    }
    for bad in [
        "20240101000000",
        "20240101000000+0100",
        "202401010000Z",
        "20240101000000.5Z",
        "2024010100000aZ",
        "",
    ] {
        assert_eq!(start(0x18, bad), None, "{bad}");
    }
    assert_eq!(start(0x16, "700101000000Z"), None, "another type");
}

#[test]
fn serial_numbers_are_positive_and_short() {
    let read = |serial: &[u8]| {
        Certificate::read(&certificate(serial, &times(0x17, "700101000000Z"), &[])).is_ok()
    };
    assert!(
        read(&[1])
            && read(&[0, 0x80])
            && read(&[0x7f; 20])
            && read(&[&[0][..], &[0xff; 20]].concat())
    );
    assert!(!read(&[]) && !read(&[0]) && !read(&[0x80]) && !read(&[0, 1]) && !read(&[0, 0, 0x80]));
    assert!(!read(&[0x7f; 21]));
}

#[test]
fn an_extension_appears_once_and_lengths_are_shortest() {
    let constraints = element(
        0x30,
        &[
            element(6, &[0x55, 0x1d, 0x13]),
            element(4, &element(0x30, &[1, 1, 0xff])),
        ]
        .concat(),
    );
    let read = |extensions: &[u8]| {
        Certificate::read(&certificate(
            &[1],
            &times(0x17, "700101000000Z"),
            extensions,
        ))
        .map(|read| read.is_ca)
    };
    assert_eq!(read(&constraints), Ok(true));
    assert!(read(&[&constraints[..], &constraints].concat()).is_err());
    for bad in [&[1, 1, 1][..], &[1, 2, 0, 0xff], &[0x01, 0x81, 0x01, 0xff]] {
        let extension = element(
            0x30,
            &[
                element(6, &[0x55, 0x1d, 0x13]),
                element(4, &element(0x30, bad)),
            ]
            .concat(),
        );
        assert!(read(&extension).is_err(), "{bad:02x?}");
    }
}
