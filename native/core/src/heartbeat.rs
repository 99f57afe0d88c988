//! The frames with a fixed layout: heartbeat, its acknowledgement, lease. Big endian, no optional part.

use crate::bytes::{concat, Reader};

/// Payload bytes of a heartbeat.
pub const HEARTBEAT_LEN: usize = 52;
/// Payload bytes of a heartbeat acknowledgement.
pub const ACK_LEN: usize = 4;
/// Payload bytes of a lease.
pub const LEASE_LEN: usize = 8;
/// `temperature_centi` when the temperature is not known.
pub const NO_TEMPERATURE: i16 = i16::MIN;
/// The greatest value of `health`.
pub const MAX_HEALTH: u8 = 2;
/// The greatest value of `cpu_permille`.
pub const MAX_PERMILLE: u16 = 1000;
/// The shortest heartbeat interval, in milliseconds.
pub const MIN_HEARTBEAT_MS: u32 = 10;
/// The longest lease, in milliseconds: one day.
pub const MAX_LEASE_MS: u32 = 86_400_000;

/// The state of a node, in the order of `swarmlet.model.health.Reading`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// 0 well, 1 degraded, 2 failing.
    pub health: u8,
    /// Workloads that run.
    pub workloads: u16,
    /// Use of all cores together, 0 to 1000.
    pub cpu_permille: u16,
    /// Hundredths of a degree Celsius, or [`NO_TEMPERATURE`].
    pub temperature_centi: i16,
    /// Bytes in use.
    pub memory_used: u64,
    /// Bytes there are.
    pub memory_total: u64,
    /// Bytes free in the data directory's file system.
    pub disk_free: u64,
    /// Bytes received since boot.
    pub net_rx: u64,
    /// Bytes sent since boot.
    pub net_tx: u64,
}

impl Default for Reading {
    fn default() -> Self {
        Self::saturating([0, 0, 0, i128::from(NO_TEMPERATURE), 0, 0, 0, 0, 0])
    }
}

impl Reading {
    /// How many fields a reading has.
    pub const FIELDS: usize = 9;

    /// Makes a reading of numbers of any size; each is moved to the nearest one its field can hold.
    pub fn saturating(fields: [i128; Self::FIELDS]) -> Self {
        let [health, workloads, cpu, temperature, used, total, disk, rx, tx] = fields;
        let wide = |value: i128| value.clamp(0, i128::from(u64::MAX)) as u64;
        Self {
            health: health.clamp(0, i128::from(MAX_HEALTH)) as u8,
            workloads: workloads.clamp(0, i128::from(u16::MAX)) as u16,
            cpu_permille: cpu.clamp(0, i128::from(MAX_PERMILLE)) as u16,
            temperature_centi: temperature.clamp(i128::from(i16::MIN), i128::from(i16::MAX)) as i16,
            memory_used: wide(used),
            memory_total: wide(total),
            disk_free: wide(disk),
            net_rx: wide(rx),
            net_tx: wide(tx),
        }
    }

    /// Returns the fields in wire order.
    pub fn fields(&self) -> [i128; Self::FIELDS] {
        [
            self.health.into(),
            self.workloads.into(),
            self.cpu_permille.into(),
            self.temperature_centi.into(),
            self.memory_used.into(),
            self.memory_total.into(),
            self.disk_free.into(),
            self.net_rx.into(),
            self.net_tx.into(),
        ]
    }
}

/// A node says that it is alive, and how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Grows by one with each heartbeat of this node's process; after the greatest comes 0.
    pub seq: u32,
    /// How it is.
    pub reading: Reading,
}

impl Heartbeat {
    /// Returns the payload.
    pub fn encode(&self) -> [u8; HEARTBEAT_LEN] {
        let r = &self.reading;
        concat(&[
            &self.seq.to_be_bytes(),
            &[r.health, 0],
            &r.workloads.to_be_bytes(),
            &r.cpu_permille.to_be_bytes(),
            &r.temperature_centi.to_be_bytes(),
            &r.memory_used.to_be_bytes(),
            &r.memory_total.to_be_bytes(),
            &r.disk_free.to_be_bytes(),
            &r.net_rx.to_be_bytes(),
            &r.net_tx.to_be_bytes(),
        ])
    }

    /// Reads a payload; `None` when its length is wrong, a field is out of its range or the padding is not 0.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = Reader(payload);
        let seq = from.u32()?;
        let health = from.u8()?;
        let padding = from.u8()?;
        let reading = Reading {
            health,
            workloads: from.u16()?,
            cpu_permille: from.u16()?,
            temperature_centi: from.i16()?,
            memory_used: from.u64()?,
            memory_total: from.u64()?,
            disk_free: from.u64()?,
            net_rx: from.u64()?,
            net_tx: from.u64()?,
        };
        let whole = from.is_empty() && padding == 0;
        let in_range = health <= MAX_HEALTH && reading.cpu_permille <= MAX_PERMILLE;
        (whole && in_range).then_some(Self { seq, reading })
    }
}

/// The coordinator heard a heartbeat.
///
/// It goes out once an interval to every node for ever, so it says nothing that is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAck {
    /// The heartbeat's number.
    pub seq: u32,
}

impl HeartbeatAck {
    /// Returns the payload.
    pub fn encode(&self) -> [u8; ACK_LEN] {
        self.seq.to_be_bytes()
    }

    /// Reads a payload; `None` when its length is wrong.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = Reader(payload);
        let seq = from.u32()?;
        from.is_empty().then_some(Self { seq })
    }
}

/// The coordinator tells a node how often to send heartbeats and how long its lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u32,
    /// Milliseconds after which the coordinator gives a silent node up.
    pub lease_ms: u32,
}

impl Lease {
    /// Makes a lease; `None` unless [`MIN_HEARTBEAT_MS`] <= `heartbeat_ms` < `lease_ms` <= [`MAX_LEASE_MS`].
    pub fn new(heartbeat_ms: u32, lease_ms: u32) -> Option<Self> {
        let usable =
            MIN_HEARTBEAT_MS <= heartbeat_ms && heartbeat_ms < lease_ms && lease_ms <= MAX_LEASE_MS;
        usable.then_some(Self {
            heartbeat_ms,
            lease_ms,
        })
    }

    /// Returns the payload.
    pub fn encode(&self) -> [u8; LEASE_LEN] {
        concat(&[
            &self.heartbeat_ms.to_be_bytes(),
            &self.lease_ms.to_be_bytes(),
        ])
    }

    /// Reads a payload; `None` when its length is wrong or [`Lease::new`] would refuse it.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut from = Reader(payload);
        let lease = Self::new(from.u32()?, from.u32()?)?;
        from.is_empty().then_some(lease)
    }
}
