//! The one exception type of this module.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

pyo3::create_exception!(
    swarmlet._native,
    NativeError,
    PyException,
    "A native call failed. `args` is `(kind, detail)`."
);

/// Makes the exception for a stable `kind` and a sentence for a person.
pub fn native(kind: &'static str, detail: impl Into<String>) -> PyErr {
    NativeError::new_err((kind, detail.into()))
}

/// Makes the exception for a failure of the core.
pub fn failure(cause: impl swarmlet_core::Failure) -> PyErr {
    native(cause.kind(), cause.to_string())
}

/// Registers the exception.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("NativeError", module.py().get_type::<NativeError>())
}
