use super::{decode, encode, encoded_len};

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    encode(bytes, &mut out);
    out
}

fn bytes(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    decode(text, &mut out).map(|()| out)
}

#[test]
fn every_digit_has_its_character() {
    for (digit, character) in ALPHABET.iter().enumerate() {
        assert_eq!(super::to_char(digit as u8), *character);
    }
}

#[test]
fn every_other_character_is_refused() {
    for character in 0..=255u8 {
        let known = ALPHABET.iter().position(|known| *known == character);
        let found = super::from_char(character);
        match known {
            Some(digit) => assert_eq!(usize::from(found), digit),
            None => assert!(found & 0x80 != 0, "{character:#04x} was taken"),
        }
    }
}

#[test]
fn the_vectors_of_rfc_4648_hold() {
    let plain = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
    let coded = ["", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"];
    for (plain, coded) in plain.iter().zip(coded) {
        assert_eq!(text(plain.as_bytes()), coded);
        assert_eq!(encoded_len(plain.len()), coded.len());
        assert_eq!(bytes(coded.as_bytes()).unwrap(), plain.as_bytes());
    }
}

#[test]
fn bits_that_no_byte_needs_must_be_zero() {
    for coded in ["Zh", "Zm9", "Z", "Zm9vY", "Zg==", "Zm9v\n"] {
        assert_eq!(bytes(coded.as_bytes()), None, "{coded} was taken");
    }
}
