//! The I/O engine: sockets, TLS 1.3, frames, heartbeats and leases in one thread.
//!
//! What a message means, who may join and what follows from a death is Python's; this crate moves bytes, proves
//! who is at the other end, and tells what happened. It holds no rule of the cluster beyond `swarmlet-core`.
#![forbid(unsafe_code)]

mod clock;
mod conn;
mod driver;
mod ending;
mod engine;
mod event;
mod gossip;
mod keepers;
mod limits;
mod listener;
mod mailbox;
mod meshing;
mod outbox;
mod shared;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
pub mod tls;
pub mod verify;

pub use engine::{Engine, EngineError, Outbound};
pub use event::{Event, Peer, Taken};
pub use gossip::{Gossiper, MemberView};
pub use listener::ListenerLimits;
pub use meshing::Place;
