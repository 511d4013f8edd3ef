//! What the tables of the kernel programs take, and how many entries each gets of the memory.

use tracebee_common::tables as most;

/// A table of the kernel programs with a key for each entry.
struct Table {
    name: &'static str,
    /// Bytes of a key and of a value.
    key: u64,
    value: u64,
    /// Where memory is not scarce.
    entries: u32,
    /// Its entries are in the account. Else only its buckets are: an entry stands for what the kernel
    /// keeps with a socket where it can.
    counts: bool,
}

const fn table(name: &'static str, key: u64, value: u64, entries: u32) -> Table {
    Table { name, key, value, entries, counts: true }
}

const TABLES: [Table; 17] = [
    table("CONTROL", 8, 16, most::CONTROLLED),
    table("LAST", 8, 64, most::LAST),
    table("LAST_CONNS", 8, 88, most::LAST),
    Table { counts: false, ..table("TABLE", 8, 168, most::SOCKETS) },
    table("UNIX_TABLE", 8, 208, most::UNIX_SOCKETS),
    table(OLDER, 4, 1, most::OLDER),
    table("PROCESSES", 4, 8, most::PROCESSES),
    table("RUNTIMES", 4, 128, most::RUNTIMES),
    table("WORK", 16, 24, most::CONTEXTS),
    table("READ", 4, 24, most::THREADS),
    table("ENTERED", 4, 8, most::THREADS),
    table("STATES", 4, 8, most::THREADS),
    table("COPIES", 4, 8, most::THREADS),
    table("WRITES", 16, 24, most::THREADS),
    table("PARSED", 16, 24, most::PARSED),
    table("TAKEN", 8, 24, most::TAKEN),
    table("STARTS", 16, 4, most::STARTS),
];
/// That of the UNIX sockets that are older than the agent: as large as their number asks for.
const OLDER: &str = "OLDER";

/// Memory of the agent with which tables have all the entries that they may have.
const WHOLE: u64 = 256 << 20;
/// A table has one of at most so many parts of its entries: an eighth of 16,384 threads is still more
/// than a small host runs.
const MAX_PARTS: u32 = 8;

/// How large the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    /// They have one of so many parts of their entries.
    parts: u32,
}

impl Tables {
    /// Those of an agent that may take so many bytes in all.
    pub fn within(memory: u64) -> Self {
        let mut parts = 1;
        while parts < MAX_PARTS && memory < WHOLE / u64::from(parts) {
            parts *= 2;
        }
        Self { parts }
    }

    /// The entries of each table.
    pub fn entries(self) -> impl Iterator<Item = (&'static str, u32)> {
        TABLES.iter().map(move |table| (table.name, table.entries / self.parts))
    }

    /// Entries of the table of older UNIX sockets, where there are so many: some may be made until
    /// all are listed.
    pub fn older(self, sockets: usize) -> (&'static str, u32) {
        let wanted = u32::try_from(sockets + sockets / 4 + 256).unwrap_or(u32::MAX);
        (OLDER, wanted.min(most::OLDER / self.parts))
    }

    /// Bytes that they take when they are full.
    pub fn bytes(self) -> u64 {
        let bytes = |table: &Table| {
            let entries = table.entries / self.parts;
            // kernel/bpf/hashtab.c: `struct bucket` and `struct htab_elem`; parts of an entry are
            // aligned.
            let buckets = u64::from(entries.next_power_of_two()) * 16;
            let entry = 48 + table.key.next_multiple_of(8) + table.value.next_multiple_of(8);
            buckets + if table.counts { u64::from(entries) * entry } else { 0 }
        };
        TABLES.iter().map(bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_programs_is_here() {
        // include/uapi/linux/bpf.h: hash and lru_hash.
        const KINDS: [u32; 2] = [1, 9];
        let object = aya_obj::Object::parse(crate::source::live::loader::OBJECT).expect("ours");
        let mut found: Vec<_> = object
            .maps
            .iter()
            .filter(|(_, map)| KINDS.contains(&map.map_type()))
            .map(|(name, map)| {
                (name.as_str(), map.key_size().into(), map.value_size().into(), map.max_entries())
            })
            .collect();
        let known = TABLES.iter().map(|table| (table.name, table.key, table.value, table.entries));
        let mut known: Vec<(&str, u64, u64, u32)> = known.collect();
        found.sort_unstable();
        known.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn less_memory_makes_smaller_tables() {
        let bytes = |mib: u64| Tables::within(mib << 20).bytes();
        assert_eq!(Tables::within(1 << 30), Tables { parts: 1 });
        assert_eq!(Tables::within(256 << 20), Tables { parts: 1 });
        assert_eq!(Tables::within(255 << 20), Tables { parts: 2 });
        assert_eq!(Tables::within(1 << 20), Tables { parts: MAX_PARTS });
        for mib in [40, 64, 100, 128, 256] {
            assert!(bytes(mib) <= (mib << 20) / 5, "{mib}: {}", bytes(mib));
        }
    }

    #[test]
    fn room_for_the_sockets_that_are_there() {
        let whole = Tables::within(WHOLE);
        assert_eq!(whole.older(0).1, 256);
        assert_eq!(whole.older(1000).1, 1506);
        assert_eq!(whole.older(usize::MAX / 2).1, most::OLDER);
        assert_eq!(Tables::within(64 << 20).older(1 << 20).1, most::OLDER / 4);
    }
}
