//! What touches the host: key files, identity, and workload processes in their sandbox.
//!
//! It holds no rule of the cluster: Python decides, this does it and says what it could not do.
//!
//! `unsafe` is denied except in these modules, where each block says why it is sound:
//! - [`fd`]: reading a secret from an open descriptor;
//! - [`sys`]: single calls into the kernel.
#![deny(unsafe_code)]

mod csr;
pub mod error;
pub mod fd;
pub mod identity;
pub mod keys;
pub mod leaf;
pub mod slots;
pub mod sys;

pub use error::{HostError, Kind};
pub use identity::{Identity, IdentityStore};
pub use keys::{KeyPair, SigningKey};
pub use slots::Slots;
