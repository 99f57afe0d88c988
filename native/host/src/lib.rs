//! What touches the host: key files, identity, and workload processes in their sandbox.
//!
//! It holds no rule of the cluster: Python decides, this does it and says what it could not do.
//!
//! `unsafe` is denied except in these modules, where each block says why it is sound:
//! - [`fd`]: reading a secret from an open descriptor;
//! - [`sys`]: single calls into the kernel;
//! - `landlock`: making a ruleset;
//! - `child`: fork, and what the child does until exec;
//! - `user`: becoming another user for good.
#![deny(unsafe_code)]

mod agent;
mod cgroup;
mod child;
mod csr;
mod engines;
pub mod error;
pub mod fd;
pub mod identity;
pub mod keys;
mod landlock;
pub mod leaf;
mod process;
mod reaper;
mod registry;
mod seccomp;
mod secret;
mod session;
pub mod slots;
mod spawn;
mod starter;
pub mod sys;
mod user;

#[cfg(test)]
mod tests;

pub use agent::{build_info, enforcement, harden, sweep};
pub use error::{HostError, Kind};
pub use identity::{Identity, IdentityStore};
pub use keys::{KeyPair, SigningKey};
pub use process::{Applied, Ending, Process};
pub use reaper::reap_orphans;
pub use slots::Slots;
pub use spawn::{spawn, Request};
pub use sys::Ended;
pub use user::become_user;
