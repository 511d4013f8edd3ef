//! How the memory that the agent may take is shared out.
//!
//! What cannot grow is taken off first (the ring, the kernel's tables, the program). The rest is
//! for what grows with the load: bounds of single tables are parts of it, their sum is watched
//! ([`shed`](super::shed)).

use std::num::NonZeroU32;

use clap::Args;

use super::cgroup;
use super::tables::Tables;

/// Flags of limits.
#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Most memory that the agent takes, ring and kernel tables included (like 256MiB or 1GiB)
    ///
    /// Under load detail is left out before that: first bodies, then long texts, then whole calls,
    /// all counted. A lower limit of the control group counts instead, nine tenths of it.
    #[arg(
        long,
        value_name = "SIZE",
        env = "TRACEBEE_MAX_MEMORY",
        default_value = "256MiB",
        value_parser = size
    )]
    pub max_memory: u64,
    /// Most connections that are followed at once [default: 65536, less where memory is little]
    #[arg(long, value_name = "N", env = "TRACEBEE_MAX_CONNECTIONS")]
    pub max_connections: Option<NonZeroU32>,
    /// Size of the ring between kernel and agent in bytes; rounded up to a power of two
    #[arg(
        long,
        value_name = "BYTES",
        env = "TRACEBEE_RING_SIZE",
        default_value = "16MiB",
        value_parser = ring_size
    )]
    pub ring_size: NonZeroU32,
}

/// Smallest ring: room for a few of the largest records.
const MIN_RING: u64 = 256 * 1024;
/// Largest ring that the kernel makes.
const MAX_RING: u64 = 1 << 30;

/// The program itself, the libraries' tables and the stacks, measured at start: 11 MiB, of which 6
/// are pages of the file.
const PROGRAM: u64 = 12 << 20;
/// Of each processor: what the kernel programs put records together in, three areas and a bit.
const PER_PROCESSOR: u64 = 4 * 2 * tracebee_common::CAPTURE_MAX as u64;
/// The least that is left for what grows: a queue, a thousand connections.
const MIN_GROWING: u64 = 16 << 20;

/// Most connections that are followed by default; more take more than they tell on most hosts.
pub const MAX_CONNECTIONS: usize = 65_536;
/// Bytes of a connection with an open call, tables included, measured with 4,000 of HTTP.
const CONNECTION: u64 = 2560;
/// Most that an export queue takes: enough for a receiver that restarts.
const MAX_QUEUE: u64 = crate::export::QUEUE_BYTES as u64;
/// Bytes of a request that waits for its server's end, in a table that is two thirds full.
const WAITING: u64 = 96;

/// The bounds that follow from the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of all together.
    pub memory: u64,
    /// What the kernel programs have.
    pub kernel: KernelMemory,
    /// Bytes of what cannot grow, the kernel's part included.
    pub fixed: u64,
    /// Connections that are followed at once.
    pub connections: usize,
    /// Bytes of each export queue that is not bounded in spans.
    pub queue: usize,
    /// Bytes of messages that were not read whole, of all connections together.
    pub unparsed: usize,
    /// Requests of one generation that wait for their server's end.
    pub waiting: usize,
}

impl LimitArgs {
    /// What the kernel programs would have outside a control group.
    pub fn kernel(&self) -> KernelMemory {
        KernelMemory { ring: self.ring_size, tables: Tables::within(self.max_memory) }
    }
}

/// How large what is made for the kernel programs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelMemory {
    /// Bytes of the ring.
    pub ring: NonZeroU32,
    /// Their tables.
    pub tables: Tables,
}

/// The memory is too little.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{limit} MiB of memory ({origin}) are too little: the ring takes {ring} MiB, program and kernel \
     tables {rest}, and at least {least} are needed beside; give {needed} MiB or a smaller --ring-size"
)]
pub struct TooLittle {
    limit: u64,
    origin: &'static str,
    ring: u64,
    rest: u64,
    least: u64,
    needed: u64,
}

impl Budget {
    /// The bounds of this process.
    ///
    /// # Errors
    /// The memory does not hold what is always needed.
    pub fn of(args: &LimitArgs) -> Result<Self, TooLittle> {
        let processors = aya::util::nr_cpus().unwrap_or(1) as u64;
        Self::with(args, cgroup::limit(), processors)
    }

    /// Those of a replay: nothing is shed, because reading can wait.
    pub fn unlimited() -> Self {
        Self {
            memory: u64::MAX,
            kernel: KernelMemory { ring: NonZeroU32::MIN, tables: Tables::within(0) },
            fixed: 0,
            connections: MAX_CONNECTIONS,
            queue: MAX_QUEUE as usize,
            unparsed: usize::MAX,
            waiting: crate::link::MAX_WAITING,
        }
    }

    fn with(args: &LimitArgs, group: Option<u64>, processors: u64) -> Result<Self, TooLittle> {
        // The group also pays for sockets' storage and for the files that the agent reads.
        let group = group.map(|limit| limit / 10 * 9).filter(|limit| *limit < args.max_memory);
        let memory = group.unwrap_or(args.max_memory);
        let ring = u64::from(args.ring_size.get());
        let tables = Tables::within(memory);
        let rest = PROGRAM + tables.bytes() + PER_PROCESSOR * processors;
        let fixed = ring + rest;
        let growing = memory.saturating_sub(fixed);
        if growing < MIN_GROWING {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            return Err(TooLittle {
                limit: memory >> 20,
                origin: if group.is_some() { "the control group's limit" } else { "--max-memory" },
                ring: mib(ring),
                rest: mib(rest),
                least: mib(MIN_GROWING),
                needed: mib(fixed + MIN_GROWING),
            });
        }
        let part = |parts: u64, most: u64| usize::try_from((growing / parts).min(most));
        let part = |parts, most| part(parts, most).unwrap_or(usize::MAX);
        Ok(Self {
            memory,
            kernel: KernelMemory { ring: args.ring_size, tables },
            fixed,
            connections: args.max_connections.map_or_else(
                || part(2 * CONNECTION, MAX_CONNECTIONS as u64),
                |connections| connections.get() as usize,
            ),
            queue: part(8, MAX_QUEUE),
            unparsed: part(8, u64::MAX),
            waiting: part(8 * 2 * WAITING, crate::link::MAX_WAITING as u64),
        })
    }

    /// Bytes for what grows.
    pub fn growing(&self) -> u64 {
        self.memory.saturating_sub(self.fixed)
    }
}

/// A size as people write it: a number of bytes, or of KiB, MiB, GiB (also K, KB, k, ...: always
/// powers of 1024).
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim().trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.trim()[digits.len()..].trim().to_ascii_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err("expected a size like 256MiB or 1GiB".to_owned()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "expected a size like 256MiB or 1GiB".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

fn ring_size(text: &str) -> Result<NonZeroU32, String> {
    let bytes = size(text)?;
    if !(MIN_RING..=MAX_RING).contains(&bytes) {
        return Err(format!("must be between {MIN_RING} and {MAX_RING} bytes"));
    }
    let bytes = u32::try_from(bytes.next_power_of_two()).unwrap_or(1 << 30);
    NonZeroU32::new(bytes).ok_or_else(|| "must not be 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn args(memory: u64, ring: u64) -> LimitArgs {
        let ring_size = NonZeroU32::new(ring as u32).expect("above zero");
        LimitArgs { max_memory: memory, max_connections: None, ring_size }
    }

    #[test]
    fn parts_stay_below_the_whole() {
        for memory in [48, 64, 96, 128, 256, 1024] {
            let budget = Budget::with(&args(memory * MIB, MIB), None, 2).expect("enough");
            let Budget { memory, fixed, connections, queue, unparsed, waiting, .. } = budget;
            // Two queues, and what their exporters have in hand: half as much again.
            let growing = connections as u64 * CONNECTION
                + 3 * queue as u64
                + unparsed as u64
                + 2 * waiting as u64 * WAITING;
            assert!(fixed + growing <= memory + memory / 8, "{budget:?}: {growing}");
            assert!(connections >= 1000, "{budget:?}");
        }
        let usual = Budget::with(&args(256 * MIB, 16 * MIB), None, 2).expect("enough");
        assert_eq!((usual.queue as u64, usual.waiting), (MAX_QUEUE, crate::link::MAX_WAITING));
        assert!((30_000..MAX_CONNECTIONS).contains(&usual.connections), "{usual:?}");
        let more = Budget::with(&args(512 * MIB, 16 * MIB), None, 2).expect("enough");
        assert_eq!(more.connections, MAX_CONNECTIONS);
    }

    #[test]
    fn a_control_group_lowers_it() {
        let args = args(256 * MIB, MIB);
        let budget = Budget::with(&args, Some(100 * MIB), 2).expect("enough");
        assert!((89 * MIB..=90 * MIB).contains(&budget.memory), "{budget:?}");
        assert_eq!(Budget::with(&args, Some(1 << 40), 2).expect("enough").memory, 256 * MIB);
        let error = Budget::with(&args, Some(10 * MIB), 2).expect_err("too little").to_string();
        assert!(error.contains("control group"), "{error}");
    }

    #[test]
    fn too_little_says_what_is_needed() {
        let error = Budget::with(&args(32 * MIB, 16 * MIB), None, 2).expect_err("too little");
        let enough = error.needed;
        assert!(error.to_string().contains(&format!("give {enough} MiB")), "{error}");
        assert!(Budget::with(&args(enough * MIB, 16 * MIB), None, 2).is_ok());
        assert!(Budget::with(&args((enough - 1) * MIB, 16 * MIB), None, 2).is_err());
    }

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("262144", 262_144),
            ("64k", 65_536),
            ("64 KiB", 65_536),
            ("256MiB", 256 * MIB),
            ("256M", 256 * MIB),
            ("256mb", 256 * MIB),
            ("1GiB", 1024 * MIB),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "12 parsecs", "99999999999999G", "1MiBb2"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(ring_size("300000").map(NonZeroU32::get), Ok(524_288));
        assert!(ring_size("1000").is_err() && ring_size("2GiB").is_err());
    }
}
