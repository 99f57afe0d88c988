//! `KeyPair` and `SigningKey`: the private half stays on this side.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::native;

/// Makes the exception for a failure of the host crate.
pub(crate) fn host_error(cause: swarmlet_host::HostError) -> PyErr {
    native(cause.kind.slug(), cause.detail)
}

/// An Ed25519 key pair whose private half stays native.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct KeyPair {
    pub(crate) inner: Arc<swarmlet_host::KeyPair>,
}

#[pymethods]
impl KeyPair {
    #[staticmethod]
    fn generate(py: Python<'_>) -> PyResult<Self> {
        let pair = py
            .detach(swarmlet_host::KeyPair::generate)
            .map_err(host_error)?;
        Ok(Self {
            inner: Arc::new(pair),
        })
    }

    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.public_key())
    }

    fn csr<'py>(&self, py: Python<'py>, common_name: &str) -> Bound<'py, PyBytes> {
        let der = py.detach(|| self.inner.csr(common_name));
        PyBytes::new(py, &der)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }
}

/// The coordinator's token key.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct SigningKey {
    pub(crate) inner: swarmlet_host::SigningKey,
}

#[pymethods]
impl SigningKey {
    #[staticmethod]
    fn load_or_create(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = py
            .detach(|| swarmlet_host::SigningKey::load_or_create(&path))
            .map_err(host_error)?;
        Ok(Self { inner })
    }

    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.public_key())
    }

    #[getter]
    fn kid<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.kid())
    }

    fn sign_claims<'py>(&self, py: Python<'py>, claims: &[u8]) -> Bound<'py, PyBytes> {
        let signed = py.detach(|| self.inner.sign_claims(claims));
        PyBytes::new(py, &signed)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }
}

/// Registers what this file defines.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<KeyPair>()?;
    module.add_class::<SigningKey>()
}
