//! Frames for Python: constants, `encode_frame`, `FrameDecoder`, `check_msgpack`.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyTuple};
use swarmlet_core::frame::{self, Decoder, Frame, FrameError, Kind};
use swarmlet_core::msgpack;

use crate::error::failure;

#[pyfunction]
fn encode_frame<'py>(
    py: Python<'py>,
    kind: u8,
    stream: u16,
    payload: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let kind = Kind::from_byte(kind).ok_or_else(|| failure(FrameError::Kind(kind)))?;
    let mut out = Vec::new();
    frame::encode(kind, stream, payload, &mut out).map_err(failure)?;
    Ok(PyBytes::new(py, &out))
}

/// An incremental decoder.
#[pyclass(module = "swarmlet._native")]
#[derive(Default)]
pub struct FrameDecoder {
    inner: Decoder,
    /// After an error the stream cannot be followed any more: the same error is told again.
    broken: Option<FrameError>,
}

#[pymethods]
impl FrameDecoder {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        if let Some(cause) = self.broken {
            return Err(failure(cause));
        }
        let mut frames: Vec<Bound<'py, PyTuple>> = Vec::new();
        let mut numbers = Numbers::default();
        let mut input = data;
        loop {
            match self.inner.next(&mut input) {
                Ok(Some(frame)) => {
                    let (kind, stream) = numbers.of(py, &frame);
                    let payload = PyBytes::new(py, frame.payload);
                    frames.push((kind, stream, payload).into_pyobject(py)?);
                }
                Ok(None) => return PyList::new(py, frames),
                Err(cause) => {
                    self.broken = Some(cause);
                    return Err(failure(cause));
                }
            }
        }
    }
}

/// The numbers of the last frame as Python has them: frames of one stream follow each other.
#[derive(Default)]
struct Numbers<'py> {
    last: Option<(Kind, u16)>,
    made: Option<(Bound<'py, PyInt>, Bound<'py, PyInt>)>,
}

impl<'py> Numbers<'py> {
    fn of(&mut self, py: Python<'py>, frame: &Frame<'_>) -> (Bound<'py, PyInt>, Bound<'py, PyInt>) {
        let now = (frame.kind, frame.stream);
        if self.last.replace(now) != Some(now) {
            self.made = None;
        }
        let make = || {
            (
                PyInt::new(py, frame.kind as u8),
                PyInt::new(py, frame.stream),
            )
        };
        self.made.get_or_insert_with(make).clone()
    }
}

#[pyfunction]
fn check_msgpack(payload: &[u8]) -> PyResult<()> {
    msgpack::check(payload).map_err(failure)
}

/// Registers what this file defines.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MAX_PAYLOAD", frame::MAX_PAYLOAD)?;
    for (name, kind) in [
        ("KIND_CONTROL", Kind::Control),
        ("KIND_HEARTBEAT", Kind::Heartbeat),
        ("KIND_HEARTBEAT_ACK", Kind::HeartbeatAck),
        ("KIND_LEASE", Kind::Lease),
        ("KIND_DATA", Kind::Data),
        ("KIND_CREDIT", Kind::Credit),
    ] {
        module.add(name, kind as u8)?;
    }
    module.add_class::<FrameDecoder>()?;
    module.add_function(wrap_pyfunction!(encode_frame, module)?)?;
    module.add_function(wrap_pyfunction!(check_msgpack, module)?)
}
