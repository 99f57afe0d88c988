"""The exception tree, and the catalogue of everything that can be said to a user.

::

    SwarmletError                 base; has a catalogue entry, fields, an exit code
    ├── UsageError                the caller asked for something that cannot be (exit 2)
    │   └── ConfigError           several bad settings at once
    ├── LocalError                this machine is at fault: files, ports, disk
    │   └── StateError            the data directory or what is in it
    ├── PeerError                 the other side is at fault or away
    │   ├── UnreachableError      nothing answered (exit 3)
    │   └── RefusedError          it answered, and said no (exit 4)
    ├── NotFoundError             no such thing (exit 5)
    └── WorkError                 a workload could not do what was asked

An error is raised by code: ``raise error("SWL-104", ago="2 h", at="2024-08-01 15:30 UTC")``. Its text has four
parts: what failed and why, what stayed unchanged, the next command. Texts are lower case, have no final
period and carry their values in fields. An exception never logs itself. The catalogue is also
``docs/errors.md``; a test fails when an entry has no example.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Exit(enum.IntEnum):
    """Exit codes of both programs."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    NOT_FOUND = 5
    NO_NODE_FITS = 6
    TIMED_OUT = 7
    DOCTOR = 8
    INTERRUPTED = 130


class SwarmletError(Exception):
    """A failure with a catalogue entry. Use :func:`error` to make one."""

    def __init__(self, code: str, **fields: str) -> None:
        self.code = code
        self.entry = CATALOGUE[code]
        self.fields = fields
        super().__init__(f"{code}: {self.what}")

    @property
    def exit_code(self) -> Exit:
        """The process exit code for this failure."""
        return self.entry.exit_code

    @property
    def what(self) -> str:
        """What failed and why."""
        return self.entry.what.format_map(_Fields(self.fields))

    @property
    def unchanged(self) -> str:
        """What stayed as it was."""
        return self.entry.unchanged.format_map(_Fields(self.fields))

    @property
    def next(self) -> str:
        """The next command or step."""
        return self.entry.next.format_map(_Fields(self.fields))

    def as_dict(self) -> dict[str, object]:
        """Return the stable JSON form shared by CLI and API."""
        return {
            "code": self.code,
            "what": self.what,
            "unchanged": self.unchanged,
            "next": self.next,
            "exit_code": int(self.exit_code),
            "fields": self.fields,
        }


class UsageError(SwarmletError):
    """The caller asked for something that cannot be."""


class ConfigError(UsageError):
    """One or more settings are wrong; all of them are named."""


class LocalError(SwarmletError):
    """This machine is at fault."""


class StateError(LocalError):
    """The data directory, or what is in it, cannot be used."""


class PeerError(SwarmletError):
    """The other side is at fault or away."""


class UnreachableError(PeerError):
    """Nothing answered, or what answered does not speak our protocol."""


class RefusedError(PeerError):
    """The other side said no."""


class NotFoundError(SwarmletError):
    """There is no such thing."""


class WorkError(SwarmletError):
    """A workload could not do what was asked."""


class Entry(NamedTuple):
    """One line of the catalogue. ``slug`` is the native kind that maps here, where there is one."""

    slug: str
    kind: type[SwarmletError]
    exit_code: Exit
    what: str
    unchanged: str
    next: str


class _Fields(dict[str, str]):
    """Fields for formatting; a missing one shows as ``?`` rather than failing inside a failure."""

    def __missing__(self, key: str) -> str:
        return "?"


_NOTHING_HERE = "nothing was changed on this device"
_NOTHING = "nothing was changed"
_MINT = "on the coordinator run  stratoswarm cluster create-join-token"

# Ranges: 1xx tokens and admission, 2xx network and trust, 3xx identity and local state,
# 4xx usage and configuration, 5xx workloads, 6xx coordinator and store, 7xx admin and local API.
CATALOGUE: dict[str, Entry] = {
    # ---- 1xx tokens and admission
    "SWL-100": Entry(
        "join-refused", RefusedError, Exit.REFUSED,
        "the cluster refused the join: the token was not made by it or was altered",
        _NOTHING_HERE, _MINT,
    ),
    "SWL-101": Entry(
        "token-prefix", RefusedError, Exit.REFUSED,
        "this is not a join token: {detail}",
        _NOTHING_HERE, "paste the whole token, it begins with swarm_join_; or " + _MINT,
    ),
    "SWL-102": Entry(
        "token-checksum", RefusedError, Exit.REFUSED,
        "the join token is damaged, probably by copying: {detail}",
        _NOTHING_HERE, "copy the whole token again, or use --token-file; or " + _MINT,
    ),
    "SWL-103": Entry(
        "token-version", RefusedError, Exit.REFUSED,
        "the join token has a format this version does not know: {detail}",
        _NOTHING_HERE, "update swarmlet, or " + _MINT,
    ),
    "SWL-104": Entry(
        "token-expired", RefusedError, Exit.REFUSED,
        "the token expired {ago} ago ({at})",
        _NOTHING_HERE, _MINT + " --expires 1h",
    ),
    "SWL-105": Entry(
        "token-revoked", RefusedError, Exit.REFUSED,
        "the token {jti} was revoked",
        _NOTHING_HERE, _MINT,
    ),
    "SWL-106": Entry(
        "token-used-up", RefusedError, Exit.REFUSED,
        "the token {jti} has no use left ({uses} of {max_uses} used)",
        _NOTHING_HERE, _MINT + " --uses N",
    ),
    "SWL-107": Entry(
        "token-network", RefusedError, Exit.REFUSED,
        "the token is not valid from {seen}; it allows {cidrs}",
        _NOTHING_HERE, _MINT + " --cidr {seen}",
    ),
    "SWL-108": Entry(
        "token-class", RefusedError, Exit.REFUSED,
        "the token is for {allowed} nodes and this device is {found}",
        _NOTHING_HERE, _MINT + " --node-type {found}",
    ),
    "SWL-109": Entry(
        "token-name", RefusedError, Exit.REFUSED,
        "the token is only for a node named {pattern}, this one is {name}",
        _NOTHING_HERE, "set SWARM_NODE_NAME to a name that fits, or " + _MINT,
    ),
    "SWL-110": Entry(
        "join-throttled", RefusedError, Exit.REFUSED,
        "the cluster is refusing joins from {seen} for {seconds} s after too many failed ones",
        _NOTHING_HERE, "wait {seconds} s and join again with a good token",
    ),
    "SWL-111": Entry(
        "node-blocked", RefusedError, Exit.REFUSED,
        "this device was removed from the cluster and its hardware is blocked",
        _NOTHING_HERE,
        "to let it join again, on the coordinator run  stratoswarm nodes allow {name}  (nodes inspect {name}"
        "  says when and why it was removed), then join with a new token",
    ),
    "SWL-112": Entry(
        "token-missing", UsageError, Exit.USAGE,
        "no join token was given and this device has no identity yet",
        _NOTHING_HERE, "swarmlet join --token-file FILE; to make one, " + _MINT,
    ),
    "SWL-113": Entry(
        "token-file-permissions", LocalError, Exit.REFUSED,
        "the token file {path} can be written by others, so it cannot be trusted",
        _NOTHING_HERE, "chmod go-w {path}",
    ),
    "SWL-114": Entry(
        "token-unreadable", LocalError, Exit.FAILED,
        "the token file {path} cannot be read: {detail}",
        _NOTHING_HERE, "check the path and its permissions",
    ),
    "SWL-115": Entry(
        "refused-unknown", RefusedError, Exit.REFUSED,
        "the cluster refused the join for a reason this version does not know ({theirs})",
        _NOTHING_HERE, "update swarmlet; on the coordinator  stratoswarm audit  tells the reason",
    ),
    "SWL-116": Entry(
        "cluster-troubled", PeerError, Exit.FAILED,
        "the cluster cannot take the join now, it has a problem of its own ({theirs})",
        _NOTHING_HERE,
        "mend it (on the coordinator  stratoswarm cluster status), then join again",
    ),
    "SWL-117": Entry(
        "join-needs-token", UsageError, Exit.USAGE,
        "{found}, and joining a cluster takes a token of it",
        _NOTHING_HERE,
        _MINT + "  and here  swarmlet discover-and-join --token-file FILE",
    ),
    "SWL-118": Entry(
        "token-empty", RefusedError, Exit.REFUSED,
        "{source} is empty, so there is no join token in it",
        _NOTHING_HERE,
        _MINT + " -q  and put what it prints there, as the one line",
    ),
    "SWL-119": Entry(
        "pairing-off", RefusedError, Exit.REFUSED,
        "the cluster {cluster} at {address} takes no device without a join token",
        _NOTHING_HERE,
        "on the coordinator run  stratoswarm cluster discovery on,  or make a token:"
        "  stratoswarm cluster create-join-token",
    ),
    "SWL-120": Entry(
        "pairing-denied", RefusedError, Exit.REFUSED,
        "an administrator of the cluster {cluster} denied this device, which showed the code {shown}",
        _NOTHING_HERE, "ask whoever runs the cluster; a join token needs no code",
    ),
    "SWL-121": Entry(
        "pairing-over", RefusedError, Exit.TIMED_OUT,
        "the code {shown} is worth nothing any more: nobody approved it in time, or the coordinator was"
        " started again",
        _NOTHING_HERE, "run the same command again for another code",
    ),
    "SWL-122": Entry(
        "pairing-busy", RefusedError, Exit.REFUSED,
        "the cluster {cluster} has as many devices waiting for approval as it takes, here or in all",
        _NOTHING_HERE, "try again in {seconds} s, or use a token: stratoswarm cluster create-join-token",
    ),
    "SWL-123": Entry(
        "pairing-choice", UsageError, Exit.USAGE,
        "{found}; without a join token a device has to be told which of them to ask",
        _NOTHING_HERE, "swarmlet discover-and-join --cluster HOST:PORT;  stratoswarm cluster status  shows a cluster's key",
    ),
    "SWL-124": Entry(
        "pairing-forged", RefusedError, Exit.REFUSED,
        "what came from {address} is no approval of this device: {detail}",
        _NOTHING_HERE, "use a join token: on the coordinator run  stratoswarm cluster create-join-token",
    ),
    # ---- 2xx network and trust
    "SWL-200": Entry(
        "unreachable", UnreachableError, Exit.UNREACHABLE,
        "{address} cannot be reached: {detail}",
        _NOTHING_HERE, "swarmlet test-connection --cluster {address}",
    ),
    "SWL-201": Entry(
        "not-swarmlet", UnreachableError, Exit.UNREACHABLE,
        "what answers at {address} is not a StratoSwarm coordinator: {detail}",
        _NOTHING_HERE, "check the address; the coordinator prints it as  Cluster IP",
    ),
    "SWL-202": Entry(
        "pin-mismatch", RefusedError, Exit.REFUSED,
        "{address} is not the cluster of this token: its key is {found}, the token expects {expected}",
        "nothing was sent to it and " + _NOTHING_HERE,
        "check the address, or get a token from the cluster at {address}",
    ),
    "SWL-203": Entry(
        "certificate-refused", RefusedError, Exit.REFUSED,
        "the cluster refused this node's certificate: {detail}",
        "the identity on disk was kept", "swarmlet identity show; on the coordinator  stratoswarm nodes ls",
    ),
    "SWL-204": Entry(
        "name-unresolved", UnreachableError, Exit.UNREACHABLE,
        "the name {host} has no address: {detail}",
        _NOTHING_HERE, "check the name, or give the address as --cluster IP:PORT",
    ),
    "SWL-205": Entry(
        "timed-out", UnreachableError, Exit.TIMED_OUT,
        "{what_waited} took longer than {seconds} s",
        _NOTHING, "try again, with a longer --timeout where there is one",
    ),
    "SWL-206": Entry(
        "certificate-role", RefusedError, Exit.REFUSED,
        "{address} showed a certificate of this cluster that is not a coordinator's",
        "nothing was sent to it and " + _NOTHING_HERE, "check the address",
    ),
    "SWL-207": Entry(
        "node-revoked", RefusedError, Exit.REFUSED,
        "this node was removed from the cluster",
        "its workloads were stopped; the identity on disk is of no use any more",
        "to join again: swarmlet leave, then join with a new token",
    ),
    "SWL-208": Entry(
        "protocol-version", PeerError, Exit.FAILED,
        "the coordinator at {address} speaks protocol version {theirs}, this swarmlet speaks {ours}",
        _NOTHING_HERE, "update the older of the two",
    ),
    "SWL-209": Entry(
        "leave-unconfirmed", UnreachableError, Exit.UNREACHABLE,
        "the cluster could not be told that this node leaves: {detail}",
        "the identity was kept and this node is still a member",
        "try again when the coordinator can be reached; or  swarmlet leave --force  here and"
        "  stratoswarm nodes rm {name}  there",
    ),
    "SWL-210": Entry(
        "superseded", PeerError, Exit.FAILED,
        "another device or process speaks to {address} with this node's identity",
        "its own work goes on", "make sure that no copy of the data directory is in use elsewhere",
    ),
    "SWL-211": Entry(
        "certificate-invalid", RefusedError, Exit.REFUSED,
        "the certificate that {address} shows does not hold: {detail}",
        "nothing was sent to it and " + _NOTHING_HERE,
        "check the clock of the coordinator, and start it again so that it renews its certificate",
    ),
    "SWL-212": Entry(
        "cluster-not-found", NotFoundError, Exit.NOT_FOUND,
        "the cluster of the token was not found in {seconds} s: {detail}",
        "the token was shown to nobody and " + _NOTHING_HERE,
        "swarmlet discover  says what answers here and why the rest is silent; or  swarmlet join --cluster HOST:PORT",
    ),
    # ---- 3xx identity and local state
    "SWL-300": Entry(
        "identity-damaged", StateError, Exit.FAILED,
        "both copies of this node's identity are damaged: {detail}",
        "the damaged files were kept", "join again with a new token: swarmlet join --token-file FILE --reset-identity",
    ),
    "SWL-301": Entry(
        "data-dir-unwritable", StateError, Exit.FAILED,
        "the data directory {path} cannot be written: {detail}",
        _NOTHING_HERE, "make it writable or choose another with --data-dir",
    ),
    "SWL-302": Entry(
        "disk-full", StateError, Exit.FAILED,
        "the disk that holds {path} is full",
        "what was on it before is unharmed", "free some space and run the same command again",
    ),
    "SWL-303": Entry(
        "identity-permissions", StateError, Exit.FAILED,
        "the identity in {path} can be read by others or belongs to another user",
        "it was not used", "chmod 600 it, or join again with a new token",
    ),
    "SWL-304": Entry(
        "port-in-use", LocalError, Exit.FAILED,
        "port {port} is taken{holder}",
        _NOTHING_HERE, "stop what holds it, or choose another with {key}",
    ),
    "SWL-305": Entry(
        "port-forbidden", LocalError, Exit.FAILED,
        "port {port} may not be bound by this user",
        _NOTHING_HERE, "choose a port above 1023 with {key}, or grant CAP_NET_BIND_SERVICE",
    ),
    "SWL-306": Entry(
        "already-running", LocalError, Exit.FAILED,
        "another {program} already runs on {path} (process {pid})",
        _NOTHING, "stop it first, or choose another data directory",
    ),
    "SWL-307": Entry(
        "not-joined", StateError, Exit.FAILED,
        "this device has no identity in {path}",
        _NOTHING_HERE, "swarmlet join --token-file FILE",
    ),
    "SWL-308": Entry(
        "agent-not-running", LocalError, Exit.UNREACHABLE,
        "no swarmlet agent runs on {path}",
        _NOTHING_HERE, "swarmlet run",
    ),
    "SWL-309": Entry(
        "journal-damaged", StateError, Exit.FAILED,
        "both copies of the assignment journal are damaged: {detail}",
        "containers run on, processes had ended with the agent; the damaged files were kept beside the new ones",
        "no action is needed when the coordinator can be reached: it sends the assignments again",
    ),
    "SWL-310": Entry(
        "identity-not-removed", StateError, Exit.FAILED,
        "{told}, but what makes this device a member could not be removed from {path}: {detail}",
        "the identity is still there, and its work has ended",
        "make {path} writable, then run  swarmlet leave  again",
    ),
    "SWL-311": Entry(
        "data-dir-owner", StateError, Exit.FAILED,
        "the data directory {path} belongs to user {owner} and user {uid}, who runs this, may not use it",
        _NOTHING_HERE,
        "as root run  chown -R {uid}:{gid} {path}  (in a container: on the folder of the host that is mounted there)",
    ),
    "SWL-312": Entry(
        "user-unchangeable", LocalError, Exit.FAILED,
        "this was started as root and cannot become user {user}, as SWARM_RUN_AS says: {detail}",
        "nothing was started",
        "let the container have the capabilities SETUID, SETGID, CHOWN and DAC_OVERRIDE (--cap-add), start it with"
        "  --user {user}, or set SWARM_RUN_AS=none to stay root",
    ),
    "SWL-313": Entry(
        "address-not-ours", LocalError, Exit.FAILED,
        "{address} cannot be listened on, it is not an address of this machine: {detail}",
        "nothing was started", "choose an address that  ip address  shows, or leave --bind out to listen on all",
    ),
    # ---- 4xx usage and configuration
    "SWL-400": Entry(
        "usage", UsageError, Exit.USAGE,
        "{detail}",
        _NOTHING, "{hint}",
    ),
    "SWL-401": Entry(
        "config", ConfigError, Exit.USAGE,
        "{count} setting(s) cannot be used:{problems}",
        _NOTHING, "{look}",
    ),
    "SWL-402": Entry(
        "tls-required", ConfigError, Exit.USAGE,
        "SWARM_TLS_ENABLED=false is for loopback only and {address} is not on this machine",
        _NOTHING, "leave SWARM_TLS_ENABLED at its default",
    ),
    "SWL-403": Entry(
        "extra-missing", UsageError, Exit.USAGE,
        "{feature} needs the package {package}, which is not installed",
        _NOTHING, "pip install 'swarmlet[{extra}]'",
    ),
    "SWL-404": Entry(
        "interface-unusable", ConfigError, Exit.USAGE,
        "the network interface {interface} {detail}",
        _NOTHING, "choose another with SWARM_BIND_INTERFACE, or unset it to let the routing table decide",
    ),
    # ---- 5xx workloads
    "SWL-500": Entry(
        "no-node-fits", WorkError, Exit.NO_NODE_FITS,
        "no node fits {workload}: {reasons}",
        "the workload stays pending and starts when a node fits", "stratoswarm inspect {workload}",
    ),
    "SWL-501": Entry(
        "command-not-found", WorkError, Exit.FAILED,
        "the command {command} does not exist on the node {node}",
        "nothing else was started", "check the path, or give the full one",
    ),
    "SWL-502": Entry(
        "image-not-found", WorkError, Exit.FAILED,
        "the image {image} is not on the node and cannot be pulled: {detail}",
        "nothing else was started", "check the image's name, or load it on the node",
    ),
    "SWL-503": Entry(
        "engine-missing", WorkError, Exit.FAILED,
        "no container engine answers on this node: {detail}",
        "process workloads still run", "start Docker, and mount /var/run/docker.sock into the agent's container",
    ),
    "SWL-504": Entry(
        "workload-not-found", NotFoundError, Exit.NOT_FOUND,
        "there is no workload {name}",
        _NOTHING, "stratoswarm ps --all",
    ),
    "SWL-505": Entry(
        "name-taken", UsageError, Exit.USAGE,
        "a workload named {name} exists already",
        _NOTHING, "choose another --name, or  stratoswarm stop {name}",
    ),
    "SWL-506": Entry(
        "over-limit", WorkError, Exit.FAILED,
        "the workload asks for {asked} and this node lends {limit} ({key})",
        "nothing was started", "ask for less, or raise {key} on the node",
    ),
    "SWL-507": Entry(
        "engine-refused", WorkError, Exit.FAILED,
        "the container engine refused the workload: {detail}",
        "nothing else was started", "change what the workload asks for; the engine says what it cannot give",
    ),
    "SWL-508": Entry(
        "spawn-failed", WorkError, Exit.FAILED,
        "the process could not be started on the node {node}: {detail}",
        "nothing else was started", "on the node run  swarmlet profile-hardware",
    ),
    "SWL-509": Entry(
        "output-unreachable", WorkError, Exit.UNREACHABLE,
        "the output of {workload} cannot be read from the node {node}: {detail}",
        "the workload is not touched by this", "stratoswarm nodes inspect {node}",
    ),
    "SWL-510": Entry(
        "command-forbidden", WorkError, Exit.FAILED,
        "the command cannot be run on the node {node}: {detail}",
        "nothing else was started", "check the command and its permissions; workloads run as users of their own",
    ),
    "SWL-511": Entry(
        "wait-over", UnreachableError, Exit.TIMED_OUT,
        "{workload} was waited for during {seconds} s and is still {state}",
        "{workload} goes on", "stratoswarm inspect {workload}, or  stratoswarm stop {workload}",
    ),
    "SWL-512": Entry(
        "not-started", WorkError, Exit.FAILED,
        "{workload} failed to start: {reason}",
        "nothing else was started", "{hint}; stratoswarm inspect {workload}",
    ),
    # ---- 6xx coordinator and store
    "SWL-600": Entry(
        "cluster-exists", UsageError, Exit.USAGE,
        "there is already a cluster in {path}",
        _NOTHING, "stratoswarm cluster start",
    ),
    "SWL-601": Entry(
        "cluster-missing", StateError, Exit.FAILED,
        "there is no cluster in {path}",
        _NOTHING, "stratoswarm cluster init, or  stratoswarm up",
    ),
    "SWL-602": Entry(
        "store-damaged", StateError, Exit.FAILED,
        "the cluster database {path} is damaged: {detail}",
        "the coordinator did not start and did not change the file",
        "restore a backup; running workloads on the nodes go on without the coordinator",
    ),
    "SWL-603": Entry(
        "ca-key-missing", StateError, Exit.FAILED,
        "the key that opens the certificate authority is missing or wrong: {path}",
        "the coordinator did not start and changed nothing",
        "put the key file back from where it is kept; it is not in the database or its backups",
    ),
    "SWL-604": Entry(
        "token-not-found", NotFoundError, Exit.NOT_FOUND,
        "there is no token {name}",
        _NOTHING, "stratoswarm cluster token ls",
    ),
    "SWL-605": Entry(
        "node-not-found", NotFoundError, Exit.NOT_FOUND,
        "there is no node {name}",
        _NOTHING, "stratoswarm nodes ls",
    ),
    "SWL-606": Entry(
        "ambiguous", UsageError, Exit.USAGE,
        "{name} could be any of {matches}",
        _NOTHING, "give more of the id, or the full name",
    ),
    "SWL-607": Entry(
        "token-too-long-lived", UsageError, Exit.USAGE,
        "a token that lives {asked} is a risk; the most without --force is 7d",
        _NOTHING, "choose a shorter --expires, or add --force",
    ),
    "SWL-608": Entry(
        "request-refused", UsageError, Exit.USAGE,
        "the coordinator cannot take this request: {detail}",
        _NOTHING, "{hint}",
    ),
    "SWL-609": Entry(
        "store-newer", StateError, Exit.FAILED,
        "the cluster database {path} was written by a newer version (schema {theirs}, this one knows {ours})",
        "the coordinator did not start and did not change the file", "start the newer version again",
    ),
    "SWL-610": Entry(
        "key-permissions", StateError, Exit.FAILED,
        "the key file {path} can be read by others or belongs to another user",
        "the coordinator did not start and changed nothing", "chmod 600 {path}",
    ),
    "SWL-611": Entry(
        "key-damaged", StateError, Exit.FAILED,
        "the key file {path} is damaged: {detail}",
        "the coordinator did not start and changed nothing", "put the file back from where it is kept",
    ),
    "SWL-612": Entry(
        "key-unreadable", StateError, Exit.FAILED,
        "the key file {path} cannot be read: {detail}",
        "the coordinator did not start and changed nothing", "check the path and its permissions",
    ),
    "SWL-613": Entry(
        "ca-expired", StateError, Exit.FAILED,
        "the certificate authority cannot sign: its intermediate certificate expired on {at}",
        "nodes that are connected go on working", "put {path} back for one start: a new one is made with it",
    ),
    "SWL-614": Entry(
        "clock-unset", StateError, Exit.FAILED,
        "this machine's clock says {at}; the certificates of a cluster founded now would be over once it is set",
        _NOTHING, "set the clock (timedatectl set-ntp true), then run the same command again",
    ),
    "SWL-615": Entry(
        "database-missing", StateError, Exit.FAILED,
        "the database {path}/{database} is missing, but the keys of its cluster are there",
        "no other cluster was founded with them",
        "put the database back from a backup and run  stratoswarm up; or, when there is none:"
        "  mv {path} {path}.old  and  stratoswarm up  for a new cluster, which every device joins anew",
    ),
    "SWL-616": Entry(
        "node-unasked", StateError, Exit.UNREACHABLE,
        "the node {node} cannot be asked: {detail}",
        "nothing was changed", "stratoswarm nodes inspect {node}",
    ),
    "SWL-617": Entry(
        "event-untold", StateError, Exit.FAILED,
        "the event was not told: {detail}",
        "nobody heard of it", "shorten it, or start the coordinator with  STRATOSWARM_GOSSIP_MS=1000",
    ),
    "SWL-618": Entry(
        "pairing-not-found", NotFoundError, Exit.NOT_FOUND,
        "no device with the code or id {name} waits for approval",
        _NOTHING, "compare with what the device shows; stratoswarm nodes pending  lists who waits",
    ),
    # ---- 7xx admin and local API
    "SWL-700": Entry(
        "coordinator-not-running", UnreachableError, Exit.UNREACHABLE,
        "no coordinator answers on {path}: {detail}",
        _NOTHING, "stratoswarm up, or  stratoswarm cluster start",
    ),
    "SWL-701": Entry(
        "forbidden", RefusedError, Exit.REFUSED,
        "user {user} may not do this; the role {role} is needed",
        _NOTHING, "run it as the user that runs the coordinator, or as root",
    ),
    "SWL-702": Entry(
        "coordinator-lost", UnreachableError, Exit.UNREACHABLE,
        "the coordinator on {path} went away before it answered: {detail}",
        "whether it made the change is not known", "once it answers again, look first: {look}",
    ),
    "SWL-703": Entry(
        "coordinator-away", UnreachableError, Exit.UNREACHABLE,
        "the coordinator on {path} went away and did not come back in {seconds} s: {detail}",
        "what it acknowledged before goes on", "on its machine  stratoswarm up, then the same command without"
        " what it has done already: stratoswarm ps, stratoswarm inspect",
    ),
    "SWL-799": Entry(
        "internal", SwarmletError, Exit.FAILED,
        "something failed that should not: {detail}",
        "what was acknowledged before is safe", "run again with --debug and report what it prints",
    ),
}  # fmt: skip

_BY_SLUG: dict[str, str] = {entry.slug: code for code, entry in CATALOGUE.items()}

#: Native kinds that share an entry with another kind.
_ALIASES: dict[str, str] = {
    "token-length": "token-checksum",
    "token-encoding": "token-checksum",
    "token-claims": "token-checksum",
    "token-seed": "token-checksum",
    "read-only": "data-dir-unwritable",
    "identity-unwritable": "data-dir-unwritable",
    "slots-unwritable": "data-dir-unwritable",
    "slots-unreadable": "data-dir-unwritable",
    "slots-damaged": "journal-damaged",
    "identity-unreadable": "data-dir-unwritable",
    "address-unavailable": "unreachable",
    "directory-missing": "spawn-failed",
}


def error(code: str, **fields: str) -> SwarmletError:
    """Return the exception for a catalogue ``code``, ready to raise.

    Args:
        code: A catalogue code such as ``SWL-104``.
        fields: The values its texts name.
    """
    return CATALOGUE[code].kind(code, **fields)


def from_native(kind: str, detail: str, **fields: str) -> SwarmletError:
    """Return the exception for a native failure.

    Args:
        kind: The slug in ``NativeError.args[0]``.
        detail: The sentence in ``NativeError.args[1]``.
        fields: Further values the entry's texts name.
    """
    slug = _ALIASES.get(kind, kind)
    code = _BY_SLUG.get(slug)
    if code is None:
        return error("SWL-799", detail=f"{kind}: {detail}", **fields)
    return error(code, **{"detail": detail, **fields})
