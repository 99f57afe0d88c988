//! Counters since the engine started.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counters, each with its own meaning and no relation kept between them.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Stats {
            /// Returns every counter with its name.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get()),)+]
            }
        }
    };
}

/// A number that several threads may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn up(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes one away.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    /// Connections there are now, both ways.
    connections,
    /// Inbound connections there are now on which no node was admitted.
    unproven,
    /// Inbound connections that were accepted.
    accepted,
    /// Outbound connections that were begun.
    dialled,
    /// Handshakes that succeeded, both ways.
    handshakes,
    /// Inbound connections turned away because too many of that address were unproven.
    refused_address,
    /// Inbound handshakes that failed.
    refused_handshake,
    /// Inbound handshakes that failed because of the certificate shown.
    refused_certificate,
    /// Inbound connections closed because they were too slow to prove themselves.
    refused_slow,
    /// Connections closed because the peer broke the protocol.
    protocol_errors,
    /// Connections closed because the node came back on another one.
    superseded,
    /// Connections cut because their certificate was revoked.
    revoked,
    /// Frames received.
    frames_in,
    /// Frames sent.
    frames_out,
    /// TLS bytes received.
    bytes_in,
    /// TLS bytes sent.
    bytes_out,
    /// Heartbeats received.
    heartbeats_in,
    /// Heartbeats sent.
    heartbeats_out,
    /// Acknowledgements of the newest heartbeat, each counted once.
    heartbeats_acked,
    /// Microseconds from the sending of those heartbeats to their acknowledgement, all together.
    heartbeats_acked_us,
    /// Gossip packets taken.
    gossip_in,
    /// Datagrams that were no gossip of a member: junk, forged, replayed, of an epoch that is over.
    gossip_dropped,
    /// Gossip packets sent.
    gossip_out,
    /// Bytes of those.
    gossip_bytes_out,
    /// Times a connection was not read because Python had not taken its events.
    stalls,
}
