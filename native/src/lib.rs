//! The Python module `swarmlet._native`: converts and registers, nothing else.
//!
//! What every name does is written in `swarmlet/_native.pyi`. The GIL is released around work and system
//! calls; a failure becomes one exception type with a stable kind.
#![forbid(unsafe_code)]

mod engine;
mod error;
mod frames;
mod host;
mod identity;
mod keys;
mod mesh;
mod tokens;

use pyo3::prelude::*;

/// Registers every class, function and constant.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    error::register(module)?;
    keys::register(module)?;
    identity::register(module)?;
    tokens::register(module)?;
    frames::register(module)?;
    engine::register(module)?;
    host::register(module)?;
    mesh::register(module)
}
