//! `Engine`, `ServerTls` and `ClientTls`: the I/O engine for Python.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use swarmlet_core::frame::{FrameError, Kind};
use swarmlet_core::heartbeat::Reading;
use swarmlet_core::Uid;
use swarmlet_link::tls::{self, Credentials, TlsError};
use swarmlet_link::{EngineError, Event, ListenerLimits, Outbound, Peer};

use crate::error::{failure, native};
use crate::identity::Identity;
use crate::keys::KeyPair;

const OPENED: u8 = 1;
const FRAME: u8 = 2;
const CLOSED: u8 = 3;
const DRAINED: u8 = 4;
const LEASE: u8 = 5;
const HEALTH: u8 = 6;
const GOSSIP: u8 = 7;
const GOSSIP_BODY: u8 = 8;

fn tls_error(cause: TlsError) -> PyErr {
    native(cause.kind(), cause.to_string())
}

pub(crate) fn engine_error(cause: EngineError) -> PyErr {
    native(cause.kind, cause.detail)
}

pub(crate) fn uid(bytes: &[u8]) -> PyResult<Uid> {
    bytes
        .try_into()
        .map_err(|_| PyValueError::new_err("a node uid has 16 bytes"))
}

/// TLS of a listener.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct ServerTls {
    inner: tls::ServerTls,
}

#[pymethods]
impl ServerTls {
    #[new]
    fn new(key: &KeyPair, chain: Vec<Vec<u8>>, root: &[u8], cluster_id: &str) -> PyResult<Self> {
        let credentials = Credentials {
            pkcs8: key.inner.pkcs8().clone(),
            chain,
        };
        tls::ServerTls::new(&credentials, root, cluster_id)
            .map(|inner| Self { inner })
            .map_err(tls_error)
    }
}

/// TLS of an outbound connection.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct ClientTls {
    inner: tls::ClientTls,
}

#[pymethods]
impl ClientTls {
    #[new]
    fn new(
        pins: Vec<Vec<u8>>,
        identity: Option<&Identity>,
        cluster_id: &str,
        now_ms: Option<i64>,
    ) -> PyResult<Self> {
        let pins = pins
            .iter()
            .map(|pin| pin.as_slice().try_into())
            .collect::<Result<_, _>>()
            .map_err(|_| PyValueError::new_err("a pin has 32 bytes"))?;
        let credentials = identity.map(|identity| Credentials {
            pkcs8: identity.inner.pkcs8().clone(),
            chain: identity.inner.chain().to_vec(),
        });
        tls::ClientTls::new(pins, credentials.as_ref(), cluster_id, now_ms)
            .map(|inner| Self { inner })
            .map_err(tls_error)
    }
}

/// Owner of every socket.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct Engine {
    pub(crate) inner: Arc<swarmlet_link::Engine>,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, event_capacity=16384))]
    fn new(py: Python<'_>, event_capacity: usize) -> PyResult<Self> {
        py.detach(|| swarmlet_link::Engine::new(event_capacity))
            .map(|inner| Self {
                inner: Arc::new(inner),
            })
            .map_err(engine_error)
    }

    #[getter]
    fn event_fd(&self) -> i32 {
        self.inner.event_fd()
    }

    #[pyo3(signature = (limit=1024))]
    fn poll<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let taken = py.detach(|| self.inner.poll(limit)).map_err(engine_error)?;
        let events = PyList::empty(py);
        for event in taken.events {
            events.append(to_tuple(py, event)?)?;
        }
        Ok(events)
    }

    #[pyo3(signature = (
        address, tls, *, max_unproven=256, max_per_address=32, handshake_ms=5000,
        unproven_ms=30000, reuse_port=false
    ))]
    #[allow(clippy::too_many_arguments)]
    fn listen(
        &self,
        py: Python<'_>,
        address: &str,
        tls: &ServerTls,
        max_unproven: usize,
        max_per_address: usize,
        handshake_ms: u32,
        unproven_ms: u32,
        reuse_port: bool,
    ) -> PyResult<(u32, String)> {
        let limits = ListenerLimits {
            max_unproven,
            max_per_address,
            handshake_ms: handshake_ms.into(),
            unproven_ms: unproven_ms.into(),
        };
        py.detach(|| self.inner.listen(address, &tls.inner, limits, reuse_port))
            .map(|(listener, bound)| (listener, bound.to_string()))
            .map_err(engine_error)
    }

    fn set_tls(&self, py: Python<'_>, listener: u32, tls: &ServerTls) -> PyResult<()> {
        py.detach(|| self.inner.set_tls(listener, &tls.inner))
            .map_err(engine_error)
    }

    #[pyo3(signature = (address, tls, *, timeout_ms=10000, source=None))]
    fn connect(
        &self,
        py: Python<'_>,
        address: &str,
        tls: &ClientTls,
        timeout_ms: u32,
        source: Option<&str>,
    ) -> PyResult<u64> {
        let outbound = Outbound {
            address,
            tls: &tls.inner,
            timeout_ms: timeout_ms.into(),
            source,
        };
        py.detach(|| self.inner.connect(&outbound))
            .map_err(engine_error)
    }

    fn send(
        &self,
        py: Python<'_>,
        conn: u64,
        kind: u8,
        stream: u16,
        payload: &[u8],
    ) -> PyResult<bool> {
        let kind = Kind::from_byte(kind).ok_or_else(|| failure(FrameError::Kind(kind)))?;
        py.detach(|| self.inner.send(conn, kind, stream, payload))
            .map_err(engine_error)
    }

    #[pyo3(signature = (conn, reason="closed"))]
    fn close(&self, py: Python<'_>, conn: u64, reason: &str) -> PyResult<()> {
        py.detach(|| self.inner.close(conn, reason))
            .map_err(engine_error)
    }

    fn admit(
        &self,
        py: Python<'_>,
        conn: u64,
        node: &[u8],
        heartbeat_ms: u32,
        lease_ms: u32,
    ) -> PyResult<()> {
        let node = uid(node)?;
        py.detach(|| self.inner.admit(conn, node, heartbeat_ms, lease_ms))
            .map_err(engine_error)
    }

    fn expect(&self, py: Python<'_>, node: &[u8], lease_ms: u32) -> PyResult<()> {
        let node = uid(node)?;
        py.detach(|| self.inner.expect(node, lease_ms))
            .map_err(engine_error)
    }

    fn forget(&self, py: Python<'_>, node: &[u8]) -> PyResult<()> {
        let node = uid(node)?;
        py.detach(|| self.inner.forget(&node));
        Ok(())
    }

    fn readings<'py>(&self, py: Python<'py>, nodes: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyList>> {
        let nodes: Vec<Uid> = nodes
            .iter()
            .map(|node| uid(node))
            .collect::<PyResult<_>>()?;
        let list = PyList::empty(py);
        for entry in py.detach(|| self.inner.readings(&nodes)) {
            match entry {
                Some((age, reading)) => list.append((age, PyTuple::new(py, reading.fields())?))?,
                None => list.append(py.None())?,
            }
        }
        Ok(list)
    }

    fn set_reading(&self, py: Python<'_>, reading: Vec<i128>) -> PyResult<()> {
        let fields: [i128; Reading::FIELDS] = reading.try_into().map_err(|_| {
            PyValueError::new_err(format!("a reading has {} fields", Reading::FIELDS))
        })?;
        py.detach(|| self.inner.set_reading(Reading::saturating(fields)));
        Ok(())
    }

    fn deny(&self, py: Python<'_>, serials: Vec<Vec<u8>>) -> PyResult<usize> {
        py.detach(|| self.inner.deny(serials)).map_err(engine_error)
    }

    fn forgive(&self, py: Python<'_>, serials: Vec<Vec<u8>>) -> usize {
        py.detach(|| self.inner.forgive(&serials))
    }

    fn rounds(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.inner.rounds())
    }

    fn stats(&self, py: Python<'_>) -> std::collections::HashMap<&'static str, u64> {
        py.detach(|| self.inner.stats()).into_iter().collect()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.inner.stop());
    }
}

/// Returns the tuple of an event; `swarmlet/link/events.py` names its slots.
fn to_tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    let none = || py.None();
    match event {
        Event::Opened {
            conn,
            address,
            exporter,
            peer,
            listener,
        } => {
            let peer = peer.map(|peer| to_peer(py, &peer)).transpose()?;
            let exporter = PyBytes::new(py, &exporter);
            (OPENED, conn, address.to_string(), exporter, peer, listener).into_pyobject(py)
        }
        Event::Frame {
            conn,
            kind,
            stream,
            payload,
        } => (
            FRAME,
            conn,
            kind as u8,
            stream,
            PyBytes::new(py, &payload),
            none(),
        )
            .into_pyobject(py),
        Event::Closed {
            conn,
            reason,
            detail,
        } => {
            let reason: Cow<'_, str> = reason;
            (CLOSED, conn, reason, detail, none(), none()).into_pyobject(py)
        }
        Event::Drained { conn } => {
            (DRAINED, conn, none(), none(), none(), none()).into_pyobject(py)
        }
        Event::Lease {
            conn,
            uid,
            state,
            age_ms,
        } => {
            let uid = PyBytes::new(py, uid.as_ref().map_or(&[][..], |uid| &uid[..]));
            (LEASE, conn, uid, state, age_ms, none()).into_pyobject(py)
        }
        Event::Gossip {
            what,
            uid,
            why,
            detail,
        } => {
            let (uid, detail) = (PyBytes::new(py, &uid), PyBytes::new(py, &detail));
            (GOSSIP, 0, what, uid, why, detail).into_pyobject(py)
        }
        Event::GossipBody { conn, body } => {
            let body = PyBytes::new(py, &body);
            (GOSSIP_BODY, conn, body, none(), none(), none()).into_pyobject(py)
        }
        Event::Health { conn, uid, health } => {
            let uid = PyBytes::new(py, &uid);
            (HEALTH, conn, uid, health, none(), none()).into_pyobject(py)
        }
    }
}

/// `(role, uid, serial, not_after_ms, expired)`
fn to_peer<'py>(py: Python<'py>, peer: &Peer) -> PyResult<Bound<'py, PyTuple>> {
    let (role, uid) = match &peer.node {
        Some(uid) => ("node", &uid[..]),
        None => ("coordinator", &[][..]),
    };
    (
        role,
        PyBytes::new(py, uid),
        PyBytes::new(py, &peer.serial),
        peer.not_after_ms,
        peer.expired,
    )
        .into_pyobject(py)
}

/// Registers what this file defines.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ServerTls>()?;
    module.add_class::<ClientTls>()?;
    module.add_class::<Engine>()?;
    module.add("EVENT_OPENED", OPENED)?;
    module.add("EVENT_FRAME", FRAME)?;
    module.add("EVENT_CLOSED", CLOSED)?;
    module.add("EVENT_DRAINED", DRAINED)?;
    module.add("EVENT_LEASE", LEASE)?;
    module.add("EVENT_HEALTH", HEALTH)?;
    module.add("EVENT_GOSSIP", GOSSIP)?;
    module.add("EVENT_GOSSIP_BODY", GOSSIP_BODY)
}
