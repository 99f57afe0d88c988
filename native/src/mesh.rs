//! `MeshKeys`, `MeshAuthority` and `Mesh`: gossip for Python. No key leaves this side.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use swarmlet_core::mesh::packet::MeshSecret;
use swarmlet_core::mesh::{
    public_of, Authority, Config, Credential, Grant, Keyring, Word, MAX_BODY,
};
use swarmlet_core::Uid;
use swarmlet_link::{Gossiper, Place};

use crate::engine::{engine_error, uid, Engine};
use crate::error::native;
use crate::keys::host_error;

/// For how long the coordinator's own credential is good: as long as it has this key.
const HUB_LIFE_MS: u64 = 100 * 365 * 86_400_000;

fn random<const N: usize>() -> PyResult<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes)
        .map_err(|cause| native("random-unavailable", format!("no random bytes: {cause}")))?;
    Ok(bytes)
}

fn key(bytes: &[u8]) -> PyResult<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| PyValueError::new_err("a public key has 32 bytes"))
}

fn damaged() -> PyErr {
    native("gossip-damaged", "the grant is not for this node")
}

fn config(probe_ms: u32, hub: bool) -> Config {
    Config {
        probe_interval_ms: probe_ms,
        probe_timeout_ms: (probe_ms / 3).clamp(10, 300),
        hub,
        ..Config::default()
    }
}

/// The keys with which one process gossips; made anew for each.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct MeshKeys {
    seed: MeshSecret,
    secret: MeshSecret,
    signing: [u8; 32],
}

#[pymethods]
impl MeshKeys {
    #[new]
    fn new() -> PyResult<Self> {
        let seed = MeshSecret::new(random()?);
        Ok(Self {
            signing: public_of(&seed),
            seed,
            secret: MeshSecret::new(random()?),
        })
    }

    #[getter]
    fn signing_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.signing)
    }

    #[getter]
    fn exchange_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.secret.public())
    }

    fn __repr__(&self) -> &'static str {
        "MeshKeys(..)"
    }
}

/// The coordinator's keys of the mesh.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct MeshAuthority {
    inner: Authority,
    cluster: Uid,
}

#[pymethods]
impl MeshAuthority {
    #[staticmethod]
    fn load_or_create(py: Python<'_>, path: PathBuf, cluster_id: &[u8]) -> PyResult<Self> {
        let cluster = uid(cluster_id)?;
        let root = py
            .detach(|| swarmlet_host::SigningKey::load_or_create(&path))
            .map_err(host_error)?;
        let inner = Authority::new(&MeshSecret::new(*root.seed()), cluster);
        let inner = inner.ok_or_else(|| native("gossip-damaged", "the root key is of no use"))?;
        Ok(Self { inner, cluster })
    }

    #[getter]
    fn signing_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.signing())
    }

    #[getter]
    fn exchange_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.exchange())
    }

    #[allow(clippy::too_many_arguments)]
    fn grant<'py>(
        &self,
        py: Python<'py>,
        node: &[u8],
        signing_key: &[u8],
        exchange_key: &[u8],
        issued_ms: u64,
        expires_ms: u64,
        epoch: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let says = Credential {
            uid: uid(node)?,
            exchange: key(exchange_key)?,
            signing: key(signing_key)?,
            issued_ms,
            expires_ms,
        };
        let nonce = random()?;
        let made = py.detach(|| self.inner.grant(&says, &around(epoch), epoch, nonce));
        let made = made.ok_or_else(|| native("gossip-damaged", "the node's key is none"))?;
        Ok(PyBytes::new(py, &made))
    }

    fn __repr__(&self) -> &'static str {
        "MeshAuthority(..)"
    }
}

impl MeshAuthority {
    fn own(&self, hub: Uid, epoch: u64, cluster_ms: u64) -> Option<Grant> {
        let says = Credential {
            uid: hub,
            exchange: self.inner.exchange(),
            signing: self.inner.signing(),
            issued_ms: cluster_ms,
            expires_ms: cluster_ms.saturating_add(HUB_LIFE_MS),
        };
        let keys = around(epoch)
            .into_iter()
            .map(|number| Some((number, self.inner.epoch(number)?)));
        Some(Grant {
            credential: self.inner.credential(&says),
            says,
            current: epoch,
            epochs: keys.collect::<Option<_>>()?,
        })
    }
}

/// The current epoch with the one before it and the next.
fn around(epoch: u64) -> Vec<u64> {
    (epoch.saturating_sub(1)..=epoch.saturating_add(1)).collect()
}

/// The mesh of an engine.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct Mesh {
    engine: Arc<swarmlet_link::Engine>,
}

#[pymethods]
impl Mesh {
    #[new]
    fn new(engine: &Engine) -> Self {
        Self {
            engine: Arc::clone(&engine.inner),
        }
    }

    #[pyo3(signature = (
        keys, *, node, cluster_id, grant, coordinator, address, movable, cluster_ms, probe_ms
    ))]
    #[allow(clippy::too_many_arguments)]
    fn join(
        &self,
        py: Python<'_>,
        keys: &MeshKeys,
        node: &[u8],
        cluster_id: &[u8],
        grant: &[u8],
        coordinator: (Vec<u8>, Vec<u8>),
        address: &str,
        movable: bool,
        cluster_ms: u64,
        probe_ms: u32,
    ) -> PyResult<Option<String>> {
        let (node, cluster) = (uid(node)?, uid(cluster_id)?);
        let (signing, exchange) = (key(&coordinator.0)?, key(&coordinator.1)?);
        let grant = Grant::open(grant, &keys.secret, &exchange, &cluster, &node);
        let who = Gossiper {
            uid: node,
            cluster,
            // Anew at each start, also with the same keys: its packets are numbered from the beginning again, and under
            // the same packet keys each number would be a nonce used twice.
            boot: random()?,
            seed: u64::from_be_bytes(random()?),
            secret: keys.secret.clone(),
            keyring: Keyring::of(&keys.seed, signing, cluster),
            grant: grant.ok_or_else(damaged)?,
            config: config(probe_ms, false),
            cluster_ms,
        };
        self.start(py, who, Place { address, movable })
    }

    #[allow(clippy::too_many_arguments)]
    fn refresh(
        &self,
        py: Python<'_>,
        keys: &MeshKeys,
        node: &[u8],
        cluster_id: &[u8],
        grant: &[u8],
        exchange_key: &[u8],
        cluster_ms: u64,
    ) -> PyResult<()> {
        let (node, cluster, exchange) = (uid(node)?, uid(cluster_id)?, key(exchange_key)?);
        let grant = Grant::open(grant, &keys.secret, &exchange, &cluster, &node);
        let grant = grant.ok_or_else(damaged)?;
        py.detach(|| self.engine.gossip_refresh(grant, cluster_ms))
            .map_err(engine_error)
    }

    #[pyo3(signature = (authority, *, hub, epoch, address, movable, cluster_ms, probe_ms))]
    #[allow(clippy::too_many_arguments)]
    fn lead(
        &self,
        py: Python<'_>,
        authority: &MeshAuthority,
        hub: &[u8],
        epoch: u64,
        address: &str,
        movable: bool,
        cluster_ms: u64,
        probe_ms: u32,
    ) -> PyResult<Option<String>> {
        let hub = uid(hub)?;
        let who = Gossiper {
            uid: hub,
            cluster: authority.cluster,
            boot: random()?,
            seed: u64::from_be_bytes(random()?),
            secret: authority.inner.secret(),
            keyring: authority.inner.keyring(),
            grant: authority.own(hub, epoch, cluster_ms).ok_or_else(damaged)?,
            config: config(probe_ms, true),
            cluster_ms,
        };
        self.start(py, who, Place { address, movable })
    }

    fn turn_epoch(
        &self,
        py: Python<'_>,
        authority: &MeshAuthority,
        hub: &[u8],
        epoch: u64,
        cluster_ms: u64,
    ) -> PyResult<()> {
        let grant = authority.own(uid(hub)?, epoch, cluster_ms);
        let grant = grant.ok_or_else(damaged)?;
        py.detach(|| self.engine.gossip_refresh(grant, cluster_ms))
            .map_err(engine_error)
    }

    fn body(&self, py: Python<'_>, conn: u64, body: &[u8]) -> PyResult<()> {
        py.detach(|| self.engine.gossip_body(conn, body))
            .map_err(engine_error)
    }

    fn declare(&self, py: Python<'_>, word: &str, node: &[u8], until_ms: u64) -> PyResult<()> {
        let word = match word {
            "down" => Word::Down,
            "removed" => Word::Removed,
            "revoked" => Word::Revoked,
            _ => return Err(PyValueError::new_err("down, removed or revoked")),
        };
        let node = uid(node)?;
        py.detach(|| self.engine.gossip_declare(word, node, until_ms))
            .map_err(engine_error)
    }

    fn broadcast(&self, py: Python<'_>, payload: &[u8]) -> PyResult<bool> {
        py.detach(|| self.engine.gossip_broadcast(payload))
            .map_err(engine_error)
    }

    fn members<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let found = py
            .detach(|| self.engine.gossip_members())
            .map_err(engine_error)?;
        let list = PyList::empty(py);
        for one in found {
            list.append((
                PyBytes::new(py, &one.uid),
                one.state,
                one.why,
                one.age_ms,
                one.address.to_string(),
                one.udp,
                one.rtt_us,
            ))?;
        }
        Ok(list)
    }

    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.engine.gossip_leave())
            .map_err(engine_error)
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.engine.gossip_stop())
            .map_err(engine_error)
    }
}

impl Mesh {
    fn start(&self, py: Python<'_>, who: Gossiper, place: Place<'_>) -> PyResult<Option<String>> {
        py.detach(|| self.engine.gossip_start(who, place))
            .map(|bound| bound.map(|address| address.to_string()))
            .map_err(engine_error)
    }
}

/// Registers what this file defines.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MAX_BODY", MAX_BODY)?;
    module.add_class::<MeshKeys>()?;
    module.add_class::<MeshAuthority>()?;
    module.add_class::<Mesh>()
}
