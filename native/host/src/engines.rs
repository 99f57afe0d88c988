//! Container engines within a workload's reach: who may speak to one is as good as root on this machine.
//!
//! A workload with a user of its own has none of our groups. One that runs as our user keeps them, since only a
//! privileged process can give groups up; then the engine's socket is as open to it as to us.

use std::path::{Path, PathBuf};

use crate::sys;

/// Where engines listen.
const USUAL: &[&str] = &[
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/libvirt/libvirt-sock",
];

/// Says whether this process may speak to an engine, at one of the usual places or at `others`.
pub(crate) fn within_reach(others: &[PathBuf]) -> bool {
    let ours = sys::effective_uid();
    let rootless = [
        PathBuf::from(format!("/run/user/{ours}/docker.sock")),
        PathBuf::from(format!("/run/user/{ours}/podman/podman.sock")),
    ];
    let usual = USUAL.iter().map(Path::new);
    let unusual = rootless.iter().chain(others).map(PathBuf::as_path);
    usual.chain(unusual).any(sys::may_write)
}
