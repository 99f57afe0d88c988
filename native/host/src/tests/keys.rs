use crate::KeyPair;

#[test]
fn a_key_pair_is_read_back_from_its_own_pkcs8_and_from_nothing_else() {
    let pair = KeyPair::generate().unwrap();
    let bytes = pair.pkcs8().to_vec();
    assert_eq!(
        KeyPair::from_pkcs8(&bytes).unwrap().public_key(),
        pair.public_key()
    );
    for at in 0..16 {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert!(KeyPair::from_pkcs8(&wrong).is_none(), "byte {at}");
    }
    for length in 0..bytes.len() {
        assert!(KeyPair::from_pkcs8(&bytes[..length]).is_none());
    }
}

/// RFC 8410 section 10.3 gives this key; OpenSSL writes the same 48 bytes.
#[test]
fn the_pkcs8_form_is_that_of_the_rfc() {
    let example = "302e020100300506032b657004220420\
                   d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
    let bytes: Vec<u8> = (0..example.len() / 2)
        .map(|at| u8::from_str_radix(&example[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let public = KeyPair::from_pkcs8(&bytes).unwrap().public_key();
    let hex: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}

#[test]
fn two_keys_are_never_the_same_and_debug_shows_the_public_half() {
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    assert_ne!(first.pkcs8(), second.pkcs8());
    let shown = format!("{first:?}");
    let secret: String = first.pkcs8()[16..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(!shown.contains(&secret));
}
