//! `Identity`, `IdentityStore` and `SlotFile`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use swarmlet_host::Slots;

use crate::keys::{host_error, KeyPair};

/// A node's key and certificate chain.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct Identity {
    pub(crate) inner: Arc<swarmlet_host::Identity>,
    generation: AtomicU64,
}

impl Identity {
    fn wrap(inner: swarmlet_host::Identity) -> Self {
        Self {
            generation: AtomicU64::new(inner.generation()),
            inner: Arc::new(inner),
        }
    }
}

#[pymethods]
impl Identity {
    #[staticmethod]
    fn create(key: &KeyPair, chain: Vec<Vec<u8>>, meta: Vec<u8>) -> PyResult<Self> {
        swarmlet_host::Identity::create(&key.inner, chain, meta)
            .map(Self::wrap)
            .map_err(host_error)
    }

    #[getter]
    fn chain<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.inner
            .chain()
            .iter()
            .map(|der| PyBytes::new(py, der))
            .collect()
    }

    #[getter]
    fn meta<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner.meta())
    }

    #[getter]
    fn serial<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.leaf().serial)
    }

    #[getter]
    fn not_before_ms(&self) -> i64 {
        self.inner.leaf().not_before_ms
    }

    #[getter]
    fn not_after_ms(&self) -> i64 {
        self.inner.leaf().not_after_ms
    }

    #[getter]
    fn uris(&self) -> Vec<String> {
        self.inner.leaf().uris.clone()
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn with_meta(&self, meta: Vec<u8>) -> Self {
        Self {
            inner: Arc::new(self.inner.with_meta(meta)),
            generation: AtomicU64::new(self.generation()),
        }
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.inner)
    }
}

/// Where a node's identity lives.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct IdentityStore {
    inner: swarmlet_host::IdentityStore,
}

#[pymethods]
impl IdentityStore {
    #[new]
    fn new(directory: PathBuf) -> Self {
        Self {
            inner: swarmlet_host::IdentityStore::new(directory),
        }
    }

    fn load(&self, py: Python<'_>) -> PyResult<Option<Identity>> {
        let found = py.detach(|| self.inner.load()).map_err(host_error)?;
        Ok(found.map(Identity::wrap))
    }

    fn damaged(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.inner.damaged())
            .map(texts)
            .map_err(host_error)
    }

    fn save(&self, py: Python<'_>, identity: &Identity) -> PyResult<u64> {
        let generation = py
            .detach(|| self.inner.save(&identity.inner))
            .map_err(host_error)?;
        identity.generation.store(generation, Ordering::Release);
        Ok(generation)
    }

    fn joining(&self, py: Python<'_>, token: [u8; 16]) -> PyResult<KeyPair> {
        let pair = py
            .detach(|| self.inner.joining(&token))
            .map_err(host_error)?;
        Ok(KeyPair {
            inner: Arc::new(pair),
        })
    }

    fn forget_joining(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.forget_joining())
            .map_err(host_error)
    }

    fn wipe(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.wipe()).map_err(host_error)
    }
}

/// Two checksummed slots for any payload.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct SlotFile {
    inner: Slots,
}

#[pymethods]
impl SlotFile {
    #[new]
    fn new(directory: PathBuf, magic: &[u8]) -> PyResult<Self> {
        let magic = magic
            .try_into()
            .map_err(|_| PyValueError::new_err("magic must be 8 bytes"))?;
        Ok(Self {
            inner: Slots::plain(directory, magic),
        })
    }

    fn load<'py>(&self, py: Python<'py>) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
        let found = py.detach(|| self.inner.load()).map_err(host_error)?;
        Ok(found.map(|(generation, payload)| (generation, PyBytes::new(py, &payload))))
    }

    fn damaged(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.inner.damaged())
            .map(texts)
            .map_err(host_error)
    }

    fn save(&self, py: Python<'_>, payload: &[u8]) -> PyResult<u64> {
        py.detach(|| self.inner.save(payload)).map_err(host_error)
    }
}

fn texts(paths: Vec<PathBuf>) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

/// Registers what this file defines.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Identity>()?;
    module.add_class::<IdentityStore>()?;
    module.add_class::<SlotFile>()
}
