//! Every bound of the engine in one place. Times are milliseconds.

use swarmlet_core::lease::Millis;

/// How long a peer may take for the TLS handshake of an outbound connection; longer only for callers that allow
/// more than twice as much for TCP.
pub const CLIENT_HANDSHAKE_MS: Millis = 5_000;
/// Payload bytes such a connection may send in its life (D1).
pub const UNPROVEN_PAYLOAD: usize = 64 * 1024;
/// How long queued frames may take to leave on close.
pub const CLOSE_FLUSH_MS: Millis = 5_000;
/// The same for a peer that was revoked.
pub const REVOKED_FLUSH_MS: Millis = 1_000;
/// How long the peer of a closed connection may take to hang up: closing at once would destroy what it has
/// not read yet.
pub const LINGER_MS: Millis = 1_000;
/// How long the whole engine may take to stop.
pub const STOP_MS: Millis = 500;
/// The shortest time after which an admitted connection without any frame is closed; see [`idle_ms`].
pub const MIN_IDLE_MS: Millis = 60_000;
/// How long a listener rests when the process has no descriptor left.
pub const ACCEPT_REST_MS: Millis = 200;
/// Connections that wait in the kernel: a thousand joins at once must not be turned away.
pub const BACKLOG: i32 = 4096;
/// Reads of one connection before the others get their turn.
pub const READ_TURNS: usize = 4;
/// Connections accepted in one turn.
pub const ACCEPT_TURNS: usize = 64;
/// Bytes of the one read buffer.
pub const READ_BUFFER: usize = 64 * 1024;
/// Bytes of plaintext taken from TLS at once.
pub const PLAIN_BUFFER: usize = 16 * 1024;
/// Bytes of frames handed to TLS at once.
pub const WRITE_BATCH: usize = 16 * 1024;
/// Bytes of heartbeats or acknowledgements that may wait for a peer that does not read.
pub const URGENT_BYTES: usize = 4 * 1024;
/// Commands that wait for the engine; a caller that finds more waits for room.
pub const COMMANDS: usize = 65_536;
/// How long such a caller waits.
pub const COMMAND_WAIT_MS: u64 = 2_000;

/// Returns after how much silence a connection with this lease is given up: the node was lost long before.
pub fn idle_ms(lease_ms: u32) -> Millis {
    (Millis::from(lease_ms) * 4).max(MIN_IDLE_MS)
}
