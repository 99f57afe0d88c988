//! `Process`, `spawn` and what else the agent asks of its host.

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use swarmlet_host::{Ended, Ending, Request};

use crate::keys::host_error;

/// The highest signal number of Linux.
const SIGNAL_MAX: i32 = 64;

/// A spawned workload process.
#[pyclass(module = "swarmlet._native", frozen)]
pub struct Process {
    inner: swarmlet_host::Process,
}

#[pymethods]
impl Process {
    #[getter]
    fn pid(&self) -> i32 {
        self.inner.pid()
    }

    #[getter]
    fn exit_fd(&self) -> i32 {
        self.inner.exit_fd()
    }

    #[getter]
    fn stdout_fd(&self) -> i32 {
        self.inner.stdout_fd()
    }

    #[getter]
    fn stderr_fd(&self) -> i32 {
        self.inner.stderr_fd()
    }

    #[getter]
    fn applied<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, self.inner.applied())
    }

    #[getter]
    fn out_of_memory(&self, py: Python<'_>) -> Option<bool> {
        py.detach(|| self.inner.out_of_memory())
    }

    fn poll(&self, py: Python<'_>) -> Option<(Option<i32>, Option<i32>)> {
        py.detach(|| self.inner.poll()).map(|ending| match ending {
            Ending::Known(Ended::Exited(code)) => (Some(code), None),
            Ending::Known(Ended::Signalled(signal)) => (None, Some(signal)),
            Ending::Lost => (None, None),
        })
    }

    fn signal(&self, py: Python<'_>, number: i32) -> PyResult<bool> {
        if !(1..=SIGNAL_MAX).contains(&number) {
            return Err(PyValueError::new_err(format!("{number} is no signal")));
        }
        Ok(py.detach(|| self.inner.signal(number)))
    }
}

#[pyfunction]
#[pyo3(
    signature = (argv, env, directory, *, memory_bytes=None, cpu_cores=None, max_processes=256, max_files=1024,
        uid=None, gid=None, writable=Vec::new(), hidden=Vec::new(), cgroup=None, engines=Vec::new()),
    text_signature = "(argv, env, directory, *, memory_bytes=None, cpu_cores=None, max_processes=256, \
        max_files=1024, uid=None, gid=None, writable=(), hidden=(), cgroup=None, engines=())"
)]
#[allow(clippy::too_many_arguments)] // keyword arguments of Python
fn spawn(
    py: Python<'_>,
    argv: Vec<OsString>,
    env: &Bound<'_, PyDict>,
    directory: PathBuf,
    memory_bytes: Option<u64>,
    cpu_cores: Option<f64>,
    max_processes: u64,
    max_files: u64,
    uid: Option<u32>,
    gid: Option<u32>,
    writable: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    cgroup: Option<PathBuf>,
    engines: Vec<PathBuf>,
) -> PyResult<Process> {
    if cpu_cores.is_some_and(|cores| !cores.is_finite() || cores <= 0.0) {
        return Err(PyValueError::new_err("cpu_cores must be above 0"));
    }
    let env = env
        .iter()
        .map(|(name, value)| Ok((name.extract()?, value.extract()?)))
        .collect::<PyResult<_>>()?;
    let request = Request {
        argv,
        env,
        directory,
        memory_bytes,
        cpu_cores,
        max_processes,
        max_files,
        uid,
        gid,
        writable,
        hidden,
        cgroup,
        engines,
    };
    let inner = py
        .detach(|| swarmlet_host::spawn(&request))
        .map_err(host_error)?;
    Ok(Process { inner })
}

#[pyfunction]
fn enforcement(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let found = py.detach(swarmlet_host::enforcement);
    dict(py, &found)
}

#[pyfunction]
fn reap_orphans(py: Python<'_>) -> usize {
    py.detach(swarmlet_host::reap_orphans)
}

#[pyfunction]
fn sweep(py: Python<'_>, cgroup: PathBuf) -> usize {
    py.detach(|| swarmlet_host::sweep(&cgroup))
}

#[pyfunction]
fn harden(py: Python<'_>) -> Vec<String> {
    py.detach(swarmlet_host::harden)
}

#[pyfunction]
#[pyo3(signature = (uid, gid, groups, *, no_new_privileges))]
fn become_user(
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    no_new_privileges: bool,
) -> PyResult<Vec<String>> {
    swarmlet_host::become_user(uid, gid, &groups, no_new_privileges).map_err(host_error)
}

#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    dict(py, &swarmlet_host::build_info())
}

fn dict<'py, V>(py: Python<'py>, pairs: &[(&'static str, V)]) -> PyResult<Bound<'py, PyDict>>
where
    V: Clone + IntoPyObject<'py>,
{
    let out = PyDict::new(py);
    for (name, value) in pairs {
        out.set_item(name, value.clone())?;
    }
    Ok(out)
}

/// Registers what this file defines.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Process>()?;
    module.add_function(wrap_pyfunction!(spawn, module)?)?;
    module.add_function(wrap_pyfunction!(enforcement, module)?)?;
    module.add_function(wrap_pyfunction!(reap_orphans, module)?)?;
    module.add_function(wrap_pyfunction!(sweep, module)?)?;
    module.add_function(wrap_pyfunction!(harden, module)?)?;
    module.add_function(wrap_pyfunction!(become_user, module)?)?;
    module.add_function(wrap_pyfunction!(build_info, module)?)
}
