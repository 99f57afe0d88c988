//! What touches the host: processes, sandbox, key files.
