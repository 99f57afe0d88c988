//! Registers the frames part of the module.

use pyo3::prelude::*;

/// Registers what this file defines.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
