//! The parts that hold still: queues, leases of this process, limits, words. Sockets and TLS are tested from Python.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::AlertDescription;
use swarmlet_core::frame::{Kind, HEADER};
use swarmlet_core::heartbeat::Lease;
use swarmlet_core::keeper::Standing;

use crate::conn::whole_frames;
use crate::ending::{handshake_failed, seconds, session_failed, FirstBytes};
use crate::event::{Event, EventQueue};
use crate::keepers::{Due, Keepers};
use crate::listener::{group, Entry, Places};
use crate::outbox::{Outbox, Push, HIGH_WATER};
use crate::timers::Timers;
use crate::tls::{parse_cluster, TlsError};
use crate::verify::{fingerprint, Refusal};

const UID: [u8; 16] = [7; 16];

fn frame_event(bytes: usize) -> Event {
    Event::Frame {
        conn: 1,
        kind: Kind::Data,
        stream: 1,
        payload: vec![0; bytes].into(),
    }
}

fn due(keepers: &mut Keepers, now: u64) -> Vec<Due> {
    let mut found = Vec::new();
    keepers.due(now, now * 1000, &mut |one| found.push(one));
    found
}

fn acked(keepers: &mut Keepers, conn: u64, seq: u32, now: u64) -> Option<Standing> {
    keepers.acked(&UID, conn, seq, now, now * 1000).standing
}

#[test]
fn a_full_queue_gives_an_event_back_and_says_once_when_there_is_room() {
    let queue = EventQueue::new(2).unwrap();
    assert!(queue.offer(frame_event(1)).is_ok());
    assert!(queue.offer(frame_event(1)).is_ok());
    assert_eq!(queue.offer(frame_event(1)), Err(frame_event(1)));
    queue.push(Event::Drained { conn: 1 });
    let taken = queue.take(1);
    assert_eq!(
        (taken.events.len(), taken.made_room),
        (1, false),
        "it is still half full"
    );
    assert!(queue.take(9).made_room);
    assert!(!queue.take(9).made_room);
}

#[test]
fn a_queue_is_full_by_bytes_too() {
    let queue = EventQueue::new(1000).unwrap();
    let mut taken = 0;
    while queue.offer(frame_event(1 << 20)).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 32);
    assert_eq!(queue.take(1000).events.len(), 32);
    assert!(queue.offer(frame_event(1)).is_ok());
}

#[test]
fn a_failed_engine_is_told_after_its_last_event() {
    let queue = EventQueue::new(4).unwrap();
    queue.push(Event::Drained { conn: 1 });
    queue.fail();
    assert!(!queue.take(9).failed);
    assert!(queue.take(9).failed);
}

#[test]
fn an_outbox_wakes_the_engine_once_and_is_full_before_it_overflows() {
    let outbox = Outbox::default();
    let chunk = vec![0; 60_000];
    assert_eq!(outbox.push(Kind::Data, 1, &chunk), Ok(Push::Wake));
    while let Ok(Push::Queued) = outbox.push(Kind::Data, 1, &chunk) {}
    let taken = outbox.take();
    assert!(taken.len() <= HIGH_WATER && taken.len() + chunk.len() > HIGH_WATER);
    assert_eq!(
        outbox.push(Kind::Data, 1, &chunk),
        Ok(Push::Full),
        "what was taken is not written yet"
    );
    assert!(!outbox.settle(taken.len()));
    assert!(outbox.settle(0), "it was full and has room");
    assert!(!outbox.settle(0), "that is told once");
    assert_eq!(outbox.push(Kind::Data, 1, &chunk), Ok(Push::Wake));
    outbox.close();
    assert_eq!(outbox.push(Kind::Data, 1, &chunk), Ok(Push::Gone));
    assert_eq!(
        outbox.take().len(),
        HEADER + chunk.len(),
        "what was accepted still leaves"
    );
}

#[test]
fn a_frame_no_peer_would_take_is_not_queued() {
    let outbox = Outbox::default();
    assert!(outbox.push(Kind::Control, 3, b"\x80").is_err());
    assert!(outbox.push(Kind::Control, 0, &vec![0; 70_000]).is_err());
    assert!(outbox.take().is_empty());
}

#[test]
fn a_batch_ends_between_two_frames() {
    let mut wire = Vec::new();
    for length in [10, 16_000, 500, 60_000] {
        swarmlet_core::frame::encode(Kind::Data, 1, &vec![0; length], &mut wire).unwrap();
    }
    let first = whole_frames(&wire);
    assert_eq!(first, 3 * HEADER + 10 + 16_000 + 500);
    let rest = wire.get(first..).unwrap();
    assert_eq!(whole_frames(rest), HEADER + 60_000);
    assert_eq!(whole_frames(&[]), 0);
}

#[test]
fn heartbeats_begin_at_once_and_keep_to_their_interval_give_or_take_a_tenth() {
    let mut keepers = Keepers::default();
    keepers.granted(UID, 5, Lease::new(1000, 3000).unwrap(), 100);
    let mut times = Vec::new();
    for now in 100..20_100 {
        for one in due(&mut keepers, now) {
            let Due::Beat { conn: 5, seq } = one else {
                panic!("{one:?}")
            };
            acked(&mut keepers, 5, seq, now);
            times.push(now);
        }
    }
    assert_eq!(times.first(), Some(&100));
    assert_eq!(times.len(), 20);
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().all(|gap| (900..=1100).contains(gap)),
        "{gaps:?}"
    );
    assert!(gaps.iter().any(|gap| *gap != 1000), "they are spread");
}

#[test]
fn a_lease_outlives_its_connection_and_lapses_once() {
    let mut keepers = Keepers::default();
    keepers.granted(UID, 5, Lease::new(1000, 3000).unwrap(), 0);
    assert_eq!(due(&mut keepers, 0), [Due::Beat { conn: 5, seq: 1 }]);
    assert_eq!(acked(&mut keepers, 4, 1, 10), None, "of another connection");
    assert_eq!(acked(&mut keepers, 5, 1, 10), Some(Standing::Held));
    keepers.disconnected(&UID, 5);
    assert_eq!(due(&mut keepers, 1999), []);
    assert_eq!(
        due(&mut keepers, 2000),
        [Due::Lapsed {
            conn: 0,
            age_ms: 2000
        }]
    );
    assert_eq!(due(&mut keepers, 9000), []);
    assert_eq!(keepers.next_deadline(), None);
}

#[test]
fn a_newer_connection_goes_on_with_the_lease_and_an_older_one_cannot_end_it() {
    let mut keepers = Keepers::default();
    let lease = Lease::new(1000, 3000).unwrap();
    keepers.granted(UID, 5, lease, 0);
    due(&mut keepers, 0);
    acked(&mut keepers, 5, 1, 0);
    keepers.granted(UID, 6, lease, 1500);
    keepers.disconnected(&UID, 5);
    assert_eq!(due(&mut keepers, 1500), [Due::Beat { conn: 6, seq: 2 }]);
    assert_eq!(
        acked(&mut keepers, 6, 2, 1501),
        None,
        "it was held all the time"
    );
    assert!(!due(&mut keepers, 2600)
        .iter()
        .any(|one| matches!(one, Due::Lapsed { .. })));
}

#[test]
fn the_round_trip_of_the_newest_heartbeat_is_told_once() {
    let mut keepers = Keepers::default();
    let round = |seq: u32, now_us: u64, keepers: &mut Keepers| {
        keepers.acked(&UID, 5, seq, now_us / 1000, now_us).round_us
    };
    keepers.granted(UID, 5, Lease::new(1000, 3000).unwrap(), 0);
    due(&mut keepers, 0);
    assert_eq!(round(9, 700, &mut keepers), None, "it was never sent");
    assert_eq!(round(1, 700, &mut keepers), Some(700));
    assert_eq!(round(1, 800, &mut keepers), None, "told already");
    keepers.hurry(40);
    due(&mut keepers, 40);
    keepers.hurry(50);
    due(&mut keepers, 50);
    assert_eq!(round(2, 50_900, &mut keepers), None, "there is a newer one");
    assert_eq!(round(3, 51_250, &mut keepers), Some(1_250));
    keepers.hurry(60);
    due(&mut keepers, 60);
    assert_eq!(
        round(4, 59_000, &mut keepers),
        Some(0),
        "never below nothing"
    );
}

#[test]
fn news_are_not_put_off_until_the_next_heartbeat() {
    let mut keepers = Keepers::default();
    keepers.hurry(0);
    keepers.granted(UID, 5, Lease::new(1000, 3000).unwrap(), 0);
    assert_eq!(due(&mut keepers, 0), [Due::Beat { conn: 5, seq: 1 }]);
    keepers.hurry(40);
    assert_eq!(keepers.next_deadline(), Some(40));
    assert_eq!(due(&mut keepers, 40), [Due::Beat { conn: 5, seq: 2 }]);
    assert_eq!(due(&mut keepers, 1039), []);
    keepers.disconnected(&UID, 5);
    keepers.hurry(1039);
    assert_eq!(due(&mut keepers, 1039), [], "nobody is there to hear it");
}

#[test]
fn a_place_is_given_back_and_one_address_cannot_have_all() {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let other: IpAddr = "192.0.2.2".parse().unwrap();
    let mut places = Places::new(3, 2);
    assert_eq!(places.enter(address), Entry::Admitted);
    assert_eq!(places.enter(address), Entry::Admitted);
    assert_eq!(places.enter(address), Entry::TooMany);
    assert!(places.has_room());
    assert_eq!(places.enter(other), Entry::Admitted);
    assert!(!places.has_room());
    places.leave(address);
    assert_eq!(places.enter(address), Entry::Admitted);
}

#[test]
fn a_host_is_one_v4_address_or_one_v6_network() {
    let of = |text: &str| group(text.parse().unwrap());
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::9"));
    assert_ne!(of("2001:db8:1:2::9"), of("2001:db8:1:3::9"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}

#[test]
fn timers_come_in_order_and_not_before_their_time() {
    let mut timers = Timers::default();
    timers.add(30, 1, 1);
    timers.add(10, 2, 2);
    assert_eq!(timers.next(), Some(10));
    assert_eq!(timers.pop(9), None);
    assert_eq!(timers.pop(40), Some((10, 2, 2)));
    assert_eq!(timers.pop(40), Some((30, 1, 1)));
    assert_eq!(timers.pop(40), None);
}

#[test]
fn a_stranger_is_known_by_its_first_bytes() {
    let of = |bytes: &[u8]| {
        let mut first = FirstBytes::default();
        for byte in bytes {
            first.note(&[*byte]);
        }
        first.stranger()
    };
    assert_eq!(of(b""), None);
    assert_eq!(of(b"SSH-2.0-OpenSSH"), Some("it speaks SSH"));
    assert_eq!(of(b"HTTP/1.0 400"), Some("it speaks HTTP"));
    assert_eq!(of(b"220-ftp"), Some("it speaks SMTP or FTP"));
    assert_eq!(of(&[22, 3, 3, 0, 90]), None);
    assert_eq!(of(&[21, 3, 1]), None);
    assert_eq!(of(&[22]), None);
    assert!(of(&[0, 1, 2]).is_some());
    assert!(of(&[22, 9]).is_some());
}

#[test]
fn an_impostor_is_told_from_some_web_server() {
    let first = FirstBytes::default();
    let refused = Refusal::Pin {
        found: "a".into(),
        expected: "b".into(),
    }
    .into();
    let impostor = handshake_failed(&refused, &first, true);
    assert_eq!(
        (&*impostor.reason, &*impostor.detail),
        ("pin-mismatch", "found=a expected=b")
    );
    assert_eq!(
        handshake_failed(&refused, &first, false).reason,
        "not-swarmlet"
    );
    let role = Refusal::Role("x").into();
    assert_eq!(
        handshake_failed(&role, &first, true).reason,
        "certificate-role"
    );
}

#[test]
fn an_alert_after_the_handshake_says_what_the_cluster_thinks_of_our_certificate() {
    let of = |alert| session_failed(&rustls::Error::AlertReceived(alert));
    assert_eq!(
        of(AlertDescription::CertificateRevoked).detail,
        "it was revoked"
    );
    assert_eq!(
        of(AlertDescription::CertificateUnknown).reason,
        "certificate-refused"
    );
    assert_eq!(of(AlertDescription::InternalError).reason, "reset");
    assert_eq!(
        session_failed(&rustls::Error::DecryptError).reason,
        "protocol"
    );
}

#[test]
fn times_are_written_as_people_say_them() {
    for (ms, text) in [
        (5000, "5 s"),
        (300, "0.3 s"),
        (1050, "1.05 s"),
        (0, "0 s"),
        (60_000, "60 s"),
    ] {
        assert_eq!(seconds(ms), text);
    }
}

#[test]
fn a_cluster_id_is_32_lower_case_digits_or_nothing() {
    assert_eq!(parse_cluster(""), Ok(None));
    assert_eq!(parse_cluster(&"0f".repeat(16)), Ok(Some([15; 16])));
    for bad in ["0", &"0F".repeat(16), &"+1".repeat(16), &"é".repeat(16)] {
        assert_eq!(parse_cluster(bad), Err(TlsError::ClusterId), "{bad}");
    }
}

#[test]
fn a_fingerprint_is_whole_and_says_what_it_is() {
    assert_eq!(
        fingerprint(&[0xab; 32]),
        format!("SHA256:{}", "ab".repeat(32))
    );
}

#[test]
fn a_shared_outbox_is_one_outbox() {
    let outbox = Arc::new(Outbox::default());
    let other = Arc::clone(&outbox);
    assert_eq!(other.push(Kind::Control, 0, b"\x80"), Ok(Push::Wake));
    assert_eq!(outbox.take().len(), HEADER + 1);
}
