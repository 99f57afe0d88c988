"""The native half: framing, TLS, signatures, leases, spawning. Python decides, this moves bytes.

Nothing here holds the GIL across a system call or a signature, and no private key or token seed of a node
ever becomes a Python object (C1, T11). Every failure is a :class:`NativeError` whose ``kind`` is a stable
slug that ``swarmlet.errors`` maps to a catalogue code.
"""

from collections.abc import Sequence
from typing import Final, Self, TypeAlias, final

class NativeError(Exception):
    """A native call failed. ``args`` is ``(kind, detail)``.

    ``kind`` is a stable slug such as ``token-checksum``; ``detail`` is a lower-case sentence for a person
    and never contains a secret.
    """

# ---------------------------------------------------------------- keys (native/host/keys.rs)

@final
class KeyPair:
    """An Ed25519 key pair whose private half stays native, zeroised on drop."""

    @staticmethod
    def generate() -> KeyPair: ...
    @property
    def public_key(self) -> bytes:
        """The 32-byte public key."""
    def csr(self, common_name: str) -> bytes:
        """Return a DER certification request (RFC 2986) signed by this key."""

@final
class SigningKey:
    """The coordinator's token key: one purpose, one 0600 file."""

    @staticmethod
    def load_or_create(path: str) -> SigningKey:
        """Read the key at ``path``, or make one there (0600, fsynced file and directory).

        Raises:
            NativeError: ``key-unreadable``, ``key-damaged``, ``key-permissions``.
        """
    @property
    def public_key(self) -> bytes: ...
    @property
    def kid(self) -> bytes:
        """First 8 bytes of SHA-256 of the public key."""
    def sign_claims(self, claims: bytes) -> bytes:
        """Return ``claims || signature`` over the domain prefix ``swarmlet/join/v1\\0`` and ``claims``."""

# ---------------------------------------------------------------- identity (native/host/slots.rs)

@final
class Identity:
    """A node's key and certificate chain, with ``meta`` opaque to this module."""

    @staticmethod
    def create(key: KeyPair, chain: Sequence[bytes], meta: bytes) -> Identity:
        """Bind ``chain`` (DER, leaf first) to ``key``.

        Raises:
            NativeError: ``identity-mismatch`` when the leaf is not for this key, ``certificate-damaged``.
        """
    @property
    def chain(self) -> list[bytes]: ...
    @property
    def meta(self) -> bytes: ...
    @property
    def serial(self) -> bytes: ...
    @property
    def not_before_ms(self) -> int: ...
    @property
    def not_after_ms(self) -> int: ...
    @property
    def uris(self) -> list[str]:
        """URI subject alternative names of the leaf."""
    @property
    def generation(self) -> int:
        """The slot generation it was read from or saved as; 0 before the first save."""
    def with_meta(self, meta: bytes) -> Identity: ...

@final
class SlotFile:
    """Two checksummed slots ``a`` and ``b`` for any payload; the newest whole one wins.

    Each slot: magic, version, generation u64, length u32, payload, SHA-256. Files are 0600, the directory 0700.
    """

    def __new__(cls, directory: str, magic: bytes) -> Self:
        """Use ``directory`` (made on first save); ``magic`` is 8 bytes that name the content."""
    def load(self) -> tuple[int, bytes] | None:
        """Return ``(generation, payload)`` of the newest whole slot, or ``None`` when there is none.

        Raises:
            NativeError: ``slots-damaged``, ``slots-unreadable``.
        """
    def damaged(self) -> list[str]:
        """Return the slot paths that exist and are not whole."""
    def save(self, payload: bytes) -> int:
        """Write the older slot by atomic rename, fsync file and directory, return the new generation.

        Raises:
            NativeError: ``disk-full``, ``read-only``, ``slots-unwritable``.
        """

@final
class IdentityStore:
    """Two checksummed slots ``a`` and ``b`` under a directory; the newest whole one wins."""

    def __new__(cls, directory: str) -> Self: ...
    def load(self) -> Identity | None:
        """Return the newest whole identity, or ``None`` when there is none.

        Raises:
            NativeError: ``identity-damaged`` (something is there and nothing of it is whole; its detail
                names both files), ``identity-permissions``, ``identity-unreadable``.
        """
    def damaged(self) -> list[str]:
        """Return the slot paths that exist and are not whole."""
    def save(self, identity: Identity) -> int:
        """Write the older slot by atomic rename, fsync file and directory, return the new generation.

        Raises:
            NativeError: ``disk-full``, ``read-only``, ``identity-unwritable``.
        """
    def joining(self, token: bytes) -> KeyPair:
        """Return the key with which to join by the token of this id (16 bytes).

        It is the one of an earlier attempt with that token that was not answered, else a new one, on disk (0600,
        synced) before it is returned: a process that ends before the answer is saved asks with the same key in
        its next run, and is given the same answer.

        Raises:
            NativeError: ``disk-full``, ``read-only``, ``identity-unwritable``.
        """
    def forget_joining(self) -> None:
        """Overwrite and remove that key, once the cluster has refused; errors as :meth:`joining`.

        :meth:`save` does it by itself.
        """
    def wipe(self) -> None:
        """Overwrite and remove both slots, and the key of a join under way."""

# ---------------------------------------------------------------- tokens (native/core/token.rs)

#: Claims in wire order: (version, cluster_id 16 B, cluster_name, jti 16 B, kid 8 B, issued_s, expires_s,
#: ca_pins 1..2 of 32 B, endpoints 0..4, max_uses, cidrs 0..8, node_classes, allow, name_pattern or "",
#: token public key 32 B)
ClaimsTuple: TypeAlias = tuple[
    int,
    bytes,
    str,
    bytes,
    bytes,
    int,
    int,
    list[bytes],
    list[str],
    int,
    list[str],
    list[str],
    list[str],
    str,
    bytes,
]

@final
class TokenSeed:
    """The one-use key of a token being minted; made where the token is printed."""

    @staticmethod
    def generate() -> TokenSeed:
        """Make a seed from the system's random source.

        Raises:
            NativeError: ``random-unavailable``.
        """
    @property
    def public_key(self) -> bytes: ...
    def assemble(self, signed: bytes) -> str:
        """Return the token text for ``signed`` (``claims || signature``); at most 1 KiB.

        Raises:
            NativeError: ``token-claims``, or ``token-seed`` when the claims are for another seed.
        """
    def token(self, signed: bytes) -> Token:
        """Return the token for ``signed`` without a text of it ever being made outside; raises as :meth:`assemble`."""

@final
class Token:
    """A received token: parsed, checksum and shape checked, seed held natively."""

    @staticmethod
    def parse(text: str) -> Token:
        """Read token text.

        Raises:
            NativeError: ``token-prefix``, ``token-length``, ``token-encoding``, ``token-checksum``,
                ``token-version``, ``token-claims``, ``token-seed``.
        """
    @staticmethod
    def read_fd(fd: int) -> Token:
        """Read token text from a file descriptor without a copy on the Python heap.

        Raises:
            NativeError: as :meth:`parse`, and ``token-unreadable``.
        """
    @property
    def signed(self) -> bytes:
        """``claims || signature``: what may go over the wire."""
    @property
    def claims(self) -> ClaimsTuple: ...
    def proof(self, csr: bytes, exporter: bytes) -> bytes:
        """Sign possession of the seed over ``csr`` and this connection's TLS exporter (T4).

        Raises:
            NativeError: ``token-exporter`` unless ``exporter`` has 32 bytes.
        """

def encode_claims(claims: ClaimsTuple) -> bytes:
    """Return the one canonical encoding of ``claims``; raises ``NativeError('token-claims')``."""

def decode_claims(signed: bytes) -> ClaimsTuple:
    """Return the claims in ``claims || signature``; anything not canonical is refused.

    Raises:
        NativeError: ``token-claims``.
    """

def verify_claims(signed: bytes, key: bytes) -> bool:
    """Verify the token signature strictly (T2)."""

def verify_proof(signed: bytes, csr: bytes, exporter: bytes, proof: bytes) -> bool:
    """Verify a proof of possession against the token public key inside ``signed``."""

def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Strict Ed25519 verification (RFC 8032; non-canonical S and small-order points refused)."""

def verify_batch(items: Sequence[tuple[bytes, bytes, bytes]]) -> bool:
    """Verify ``(key, message, signature)`` triples together; true only when all hold.

    For statements, never for admission: the owner of a key can make signatures with a component of small order
    that hold here and not in :func:`verify` (``docs/protocol.md``).
    """

# ---------------------------------------------------------------- frames (native/core/frame.rs)

MAX_PAYLOAD: Final = 65536
KIND_CONTROL: Final = 1
KIND_HEARTBEAT: Final = 2
KIND_HEARTBEAT_ACK: Final = 3
KIND_LEASE: Final = 4
KIND_DATA: Final = 16
KIND_CREDIT: Final = 17

def encode_frame(kind: int, stream: int, payload: bytes) -> bytes:
    """Return header and payload.

    Raises:
        NativeError: ``frame-too-large``, ``frame-kind``, ``frame-shape`` (a length or stream the kind cannot have).
    """

@final
class FrameDecoder:
    """Incremental decoder, for tests, tools and the benchmark; the engine has its own inside."""

    def __init__(self) -> None: ...
    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Return the ``(kind, stream, payload)`` completed by ``data``.

        Raises:
            NativeError: ``frame-too-large``, ``frame-kind``, ``frame-flags``, ``frame-shape``.
        """

def check_msgpack(payload: bytes) -> None:
    """Check depth, counts, lengths and texts of one msgpack value without allocating (D3).

    Raises:
        NativeError: ``msgpack-depth``, ``msgpack-items``, ``msgpack-truncated``, ``msgpack-type``,
            ``msgpack-text``, ``msgpack-trailing``.
    """

# ---------------------------------------------------------------- engine (native/link)

#: Events from :meth:`Engine.poll`; the first item tells the rest. See ``swarmlet/link/events.py``.
EVENT_OPENED: Final = 1
EVENT_FRAME: Final = 2
EVENT_CLOSED: Final = 3
EVENT_DRAINED: Final = 4
EVENT_LEASE: Final = 5
EVENT_HEALTH: Final = 6
EVENT_GOSSIP: Final = 7
EVENT_GOSSIP_BODY: Final = 8

#: (kind, conn, a, b, c, d): see events.py for what each slot holds.
EventTuple: TypeAlias = tuple[int, int, object, object, object, object]

@final
class ServerTls:
    """TLS of a listener: TLS 1.3 only, ALPN ``swarmlet/1``, client certificates asked, not required.

    ``chain`` is DER, leaf first; ``root`` is sent after it, so that a node can hash its key.

    Raises:
        NativeError: ``certificate-damaged``, ``identity-mismatch`` (the key is not the leaf's), ``cluster-id``.
    """

    def __new__(cls, key: KeyPair, chain: Sequence[bytes], root: bytes, cluster_id: str) -> Self: ...

@final
class ClientTls:
    """TLS of an outbound connection: the pin is the only trust (T3).

    ``now_ms`` is cluster time in Unix milliseconds, by which a certificate may have expired but is never too
    new, or ``None`` to judge no validity dates (first join). An empty ``cluster_id`` takes any cluster under
    a pinned root. The identity is a node's.

    Raises:
        NativeError: ``pins-missing``, ``cluster-id``, ``certificate-damaged``, ``identity-mismatch``.
    """

    def __new__(
        cls, pins: Sequence[bytes], identity: Identity | None, cluster_id: str, now_ms: int | None
    ) -> Self: ...

@final
class Engine:
    """Owner of every socket: one native thread, TLS, frames, heartbeats and leases.

    All calls return at once and may be made from any thread. Connections are numbered from 1 and never reused.
    """

    def __new__(cls, *, event_capacity: int = 16384) -> Self: ...
    @property
    def event_fd(self) -> int:
        """Readable while events wait."""
    def poll(self, limit: int = 1024) -> list[EventTuple]:
        """Take up to ``limit`` events, oldest first; empty when there are none, also after :meth:`stop`.

        Raises:
            NativeError: ``engine-stopped``: the thread ended by a fault of its own and nothing will follow.
        """
    def listen(
        self,
        address: str,
        tls: ServerTls,
        *,
        max_unproven: int = 256,
        max_per_address: int = 32,
        handshake_ms: int = 5000,
        unproven_ms: int = 30000,
        reuse_port: bool = False,
    ) -> tuple[int, str]:
        """Bind ``ip:port`` and accept; return ``(listener, bound address)``.

        Args:
            address: To bind; port 0 takes a free one.
            tls: What to show and whom to trust.
            max_unproven: Connections on which no node was admitted; the rest waits in the kernel.
            max_per_address: The same for one address (an IPv6 /64 is one); more are closed.
            handshake_ms: How long TLS may take, and then the first frame.
            unproven_ms: How long a connection may live without being admitted.
            reuse_port: Let other sockets bind the same port (SO_REUSEPORT).

        Raises:
            NativeError: ``port-in-use``, ``port-forbidden``, ``address-unavailable``.
        """
    def set_tls(self, listener: int, tls: ServerTls) -> None:
        """Use ``tls`` for handshakes from now on (certificate renewal)."""
    def connect(
        self, address: str, tls: ClientTls, *, timeout_ms: int = 10000, source: str | None = None
    ) -> int:
        """Begin a connection to ``ip:port``; OPENED or CLOSED follows.

        Args:
            address: Of the peer. Names are resolved elsewhere.
            tls: Whom to trust and what to show.
            timeout_ms: How long TCP may take. TLS then may take as long, but at most the longer of 5 s and half
                of it.
            source: Local ``ip`` or ``ip:port`` to come from.

        Raises:
            NativeError: ``address-unavailable`` (it cannot be read), ``engine-stopped``, ``engine-busy``.
        """
    def send(self, conn: int, kind: int, stream: int, payload: bytes) -> bool:
        """Queue one frame. False when the connection's buffer is full (DRAINED follows) or it is gone.

        Frames queued before the handshake is done leave after it, and only if the peer is the right one.

        Raises:
            NativeError: ``frame-too-large``, ``frame-kind``, ``frame-shape``, ``engine-busy``.
        """
    def close(self, conn: int, reason: str = "closed") -> None:
        """Flush what is queued, send close_notify, close; CLOSED follows with this ``reason``."""
    def admit(self, conn: int, node: bytes, heartbeat_ms: int, lease_ms: int) -> None:
        """Server: this connection speaks for ``node`` (16-byte uid): take its heartbeats, keep its lease.

        It must have shown that node's certificate, or it is closed. An older connection of the node is closed
        as ``superseded``. Admitting it again with other intervals changes them.

        Raises:
            NativeError: ``lease-intervals`` unless 10 <= ``heartbeat_ms`` < ``lease_ms`` <= a day.
        """
    def expect(self, node: bytes, lease_ms: int) -> None:
        """Server: start a lease for a node not yet connected (after a restart), as if suspect."""
    def forget(self, node: bytes) -> None:
        """Server: drop a node's lease without an event."""
    def readings(self, nodes: Sequence[bytes]) -> list[tuple[int, tuple[int, ...]] | None]:
        """Server: ``(age in ms, reading)`` of each node's last heartbeat (``model.health.Reading`` order)."""
    def set_reading(self, reading: Sequence[int]) -> None:
        """Client: what the next heartbeats of every outbound connection carry; the first time they go at once."""
    def deny(self, serials: Sequence[bytes]) -> int:
        """Refuse these certificate serials in every handshake, cut live connections and return how many.

        What was queued for a cut connection may still leave within a second; nothing of it is read any more.
        Leading zero bytes make no difference.
        """
    def forgive(self, serials: Sequence[bytes]) -> int:
        """Refuse these certificate serials no more; return how many were refused until now."""
    def rounds(self) -> int:
        """Wake the thread and return how often it has gone round.

        A number that is the same at the next call, a while later, says that it hangs or is gone; an idle thread
        goes round because of this call.
        """
    def stats(self) -> dict[str, int]:
        """Counters since start, and ``connections`` and ``unproven`` as they are now.

        ``frames_out`` counts what :meth:`send` took; heartbeats and their acknowledgements are counted apart.
        """
    def stop(self) -> None:
        """Close everything and end the thread; idempotent."""

# ---------------------------------------------------------------- mesh (native/core/mesh, native/link/gossip.rs)

#: The longest body of anti-entropy, in bytes.
MAX_BODY: Final = 262144

@final
class MeshKeys:
    """The keys with which one process gossips: made anew for each, never on disk."""

    def __new__(cls) -> Self: ...
    @property
    def signing_key(self) -> bytes:
        """Ed25519 public key, 32 bytes: its statements."""
    @property
    def exchange_key(self) -> bytes:
        """X25519 public key, 32 bytes: its packets."""

@final
class MeshAuthority:
    """The coordinator's keys of the mesh, all of which follow from one file."""

    @staticmethod
    def load_or_create(path: str, cluster_id: bytes) -> MeshAuthority:
        """Read the root key at ``path`` or make one there.

        Raises:
            NativeError: ``key-damaged``, ``key-permissions``, ``key-unreadable``, ``random-unavailable``.
        """
    @property
    def signing_key(self) -> bytes:
        """Ed25519 public key, 32 bytes: credentials and verdicts."""
    @property
    def exchange_key(self) -> bytes:
        """X25519 public key, 32 bytes."""
    def grant(
        self,
        node: bytes,
        signing_key: bytes,
        exchange_key: bytes,
        issued_ms: int,
        expires_ms: int,
        epoch: int,
    ) -> bytes:
        """Return a credential and the keys of the epochs around ``epoch``, sealed for a node alone.

        Args:
            node: Its uid, 16 bytes.
            signing_key: Its :attr:`MeshKeys.signing_key`.
            exchange_key: Its :attr:`MeshKeys.exchange_key`.
            issued_ms: Cluster time; the newest credential of a node counts.
            expires_ms: Cluster time.
            epoch: The current one.

        Raises:
            NativeError: ``gossip-damaged``: the node's key is none. ``random-unavailable``.
        """

@final
class Mesh:
    """Gossip of an engine, in its thread. Without a start every call but :meth:`members` does nothing."""

    def __new__(cls, engine: Engine) -> Self: ...
    def join(
        self,
        keys: MeshKeys,
        *,
        node: bytes,
        cluster_id: bytes,
        grant: bytes,
        coordinator: tuple[bytes, bytes],
        address: str,
        movable: bool,
        cluster_ms: int,
        probe_ms: int,
    ) -> str | None:
        """Gossip as a member, in place of what was.

        Args:
            keys: Those the grant was made for.
            node: This node's uid, 16 bytes.
            cluster_id: 16 bytes.
            grant: From :meth:`MeshAuthority.grant`.
            coordinator: Its signing key and its exchange key.
            address: ``ip:port`` at which others reach this node, to be bound.
            movable: Whether a free port will do when this one is taken.
            cluster_ms: Cluster time now.
            probe_ms: Milliseconds between probes, 200 to 60000.

        Returns:
            Where it listens; ``None`` when that is another machine's address, so that UDP does not get through.

        Raises:
            NativeError: ``port-in-use``, ``port-forbidden``, ``address-unavailable``, ``gossip-damaged``.
        """
    def refresh(
        self,
        keys: MeshKeys,
        node: bytes,
        cluster_id: bytes,
        grant: bytes,
        exchange_key: bytes,
        cluster_ms: int,
    ) -> None:
        """Use the epochs of another grant, and ask the coordinator for what was missed.

        Raises:
            NativeError: ``gossip-damaged``.
        """
    def lead(
        self,
        authority: MeshAuthority,
        *,
        hub: bytes,
        epoch: int,
        address: str,
        movable: bool,
        cluster_ms: int,
        probe_ms: int,
    ) -> str | None:
        """Gossip as the coordinator, whose uid is ``hub``; the rest as :meth:`join`."""
    def turn_epoch(self, authority: MeshAuthority, hub: bytes, epoch: int, cluster_ms: int) -> None:
        """Use another epoch as the coordinator."""
    def body(self, conn: int, body: bytes) -> None:
        """Take a body of anti-entropy; the answer is told as an event with the same ``conn``."""
    def declare(self, word: str, node: bytes, until_ms: int) -> None:
        """Say as the coordinator that a node is ``down``, or was ``removed`` or ``revoked``.

        ``until_ms`` is when the last of its credentials ends, in cluster time.
        """
    def broadcast(self, payload: bytes) -> bool:
        """Tell every member an event of at most 512 bytes once; false when it is longer or there is no mesh."""
    def members(self) -> list[tuple[bytes, str, str, int, str, bool, int]]:
        """Return ``(uid, state, why, age_ms, address, udp, rtt_us)`` of each member, this one first."""
    def leave(self) -> None:
        """Say goodbye to the others."""
    def stop(self) -> None:
        """End it and give the port up."""

# ---------------------------------------------------------------- host (native/host)

@final
class Process:
    """A spawned workload process, leader of its own session. Only this module waits for it."""

    @property
    def pid(self) -> int: ...
    @property
    def exit_fd(self) -> int:
        """Readable once it ended (a pidfd)."""
    @property
    def stdout_fd(self) -> int:
        """Non-blocking read end of its standard output; the caller owns and closes it once it has read this."""
    @property
    def stderr_fd(self) -> int: ...
    @property
    def applied(self) -> dict[str, str]:
        """What was really enforced on it, in ``model.profile.Enforcement`` field names.

        ``cgroup-v2``, ``cgroup-v1``, ``rlimit`` (holds for each process alone), ``landlock``,
        ``landlock-partial`` (files outside can be truncated), ``seccomp``, ``unlimited`` (nothing was asked),
        ``unenforced``.
        """
    @property
    def out_of_memory(self) -> bool | None:
        """Whether something in its control group was killed for want of memory; known after it ended.

        ``None`` while it runs, and without a control group that limits memory.
        """
    def poll(self) -> tuple[int | None, int | None] | None:
        """``None`` while it runs, else ``(exit code, signal)``, one of them ``None``.

        What it left in its session or control group is killed before it is reaped. Both are ``None`` when
        something else in this process waited for it. Dropped while it runs, all of it is killed.
        """
    def signal(self, number: int) -> bool:
        """Signal the whole session; false when it is gone."""

def spawn(
    argv: Sequence[str],
    env: dict[str, str],
    directory: str,
    *,
    memory_bytes: int | None = None,
    cpu_cores: float | None = None,
    max_processes: int = 256,
    max_files: int = 1024,
    uid: int | None = None,
    gid: int | None = None,
    writable: Sequence[str] = (),
    hidden: Sequence[str] = (),
    cgroup: str | None = None,
    engines: Sequence[str] = (),
) -> Process:
    """Start ``argv`` in ``directory`` with no privileges to gain.

    New session, parent-death signal, no_new_privs, no capabilities, rlimits, Landlock (reads everywhere but
    ``/dev`` and ``hidden``, writes only under ``directory`` and ``writable``), seccomp where known. As the
    agent's own user it keeps the agent's groups unless those can be given up; where they open a container
    engine to it, it may make no unix socket (``applied["engine"]``).

    Args:
        argv: The command, looked for in ``PATH`` of ``env`` (or a default one) when it has no slash.
        env: The whole environment.
        directory: Working directory; given to ``uid`` when that is another user.
        memory_bytes: Of the whole session with a control group, else of each process (data, not addresses).
        cpu_cores: Processors' worth of time; needs a control group.
        max_processes: Needs a control group, or a ``uid`` of its own (all processes of the user count then).
        max_files: Open files of each process.
        uid: User to run as; the agent's own when ``None``.
        gid: Group to run as; the number of ``uid`` when ``None``. Supplementary groups are dropped.
        writable: Files and directories, devices too, that it may write beside its own.
        hidden: Directories whose files it may not read, apart from ``directory``: the agent's data.
        cgroup: Name of a control group to make, below the agent's own; its first part begins with
            ``swarmlet``, it is removed when the process ends, and what an earlier agent left in it is killed.
        engines: Sockets of container engines at other than the usual places.

    Raises:
        NativeError: ``command-not-found``, ``command-forbidden``, ``directory-missing``, ``spawn-failed``.
    """

def enforcement() -> dict[str, str]:
    """What this kernel can enforce, in ``model.profile.Enforcement`` field names (W3)."""

def sweep(cgroup: str) -> int:
    """Kill what an earlier agent left in control groups at or below ``cgroup``; return how many processes."""

def reap_orphans() -> int:
    """As PID 1: wait for every ended child that no Process owns; return how many."""

def harden() -> list[str]:
    """Make this process undumpable and without core files (T11); return what could not be done."""

def become_user(uid: int, gid: int, groups: Sequence[int], *, no_new_privileges: bool) -> list[str]:
    """Become another user for good: ids, groups, no capability, no way back. Before any thread is made.

    Args:
        uid: The user; not 0.
        gid: Its group.
        groups: All of its other groups.
        no_new_privileges: Also let no exec give any, to this process and what it starts.

    Returns:
        What could not be done and is no danger without the rest.

    Raises:
        NativeError: ``user-unchangeable``; the process must end, it may be half of either user.
    """

def build_info() -> dict[str, str]:
    """Version, target and enabled parts of this build."""
