//! The table of functions that every Go executable carries for its own stack traces
//! (`runtime/symtab.go`, `pcHeader`): names and ranges of all functions, also where symbols were
//! stripped.

/// What the table begins with: its layout is that of Go 1.18 (the same in 1.19) or of 1.20 and later,
/// little-endian, for x86-64 (instructions of any length, pointers of 8 bytes).
const HEADS: [[u8; 8]; 2] =
    [[0xf0, 0xff, 0xff, 0xff, 0, 0, 1, 8], [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]];
/// Bytes of the header.
const HEADER: usize = 72;
/// Longest name that is believed; those of generic functions may have hundreds of bytes.
const MAX_NAME: usize = 4096;

/// The table of an executable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Functions<'a> {
    table: &'a [u8],
    names: &'a [u8],
    /// Two numbers for each function, and one more.
    entries: &'a [u8],
    count: usize,
    /// What the header says of where the text begins; zero since Go 1.26.
    pub(super) text: u64,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    /// With its package's path, `net/http.(*Server).Serve.func1`.
    pub(super) name: &'a [u8],
    /// Where it begins and ends, from the beginning of the text.
    pub(super) start: u32,
    pub(super) end: u32,
}

impl<'a> Functions<'a> {
    /// The table that begins with `bytes`; none if that is not one that is known.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..HEADER)?;
        if !HEADS.iter().any(|known| head.starts_with(known)) {
            return None;
        }
        let word = |n: usize| {
            let at = 8 + 8 * n;
            Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?))
        };
        let count = usize::try_from(word(0)?).ok()?;
        let names = bytes.get(usize::try_from(word(3)?).ok()?..)?;
        let table = bytes.get(usize::try_from(word(7)?).ok()?..)?;
        let entries = table.get(..count.checked_mul(8)?.checked_add(4)?)?;
        Some(Self { table, names, entries, count, text: word(2)? })
    }

    /// All of them, in the order of their addresses. Those whose entry makes no sense are left out.
    pub(super) fn iter(&self) -> impl Iterator<Item = Function<'a>> {
        let this = *self;
        (0..this.count).filter_map(move |n| this.function(n))
    }

    fn function(&self, n: usize) -> Option<Function<'a>> {
        let start = number(self.entries, 8 * n)?;
        let at = usize::try_from(number(self.entries, 8 * n + 4)?).ok()?;
        let end = number(self.entries, 8 * n + 8)?;
        // `_func`: where it begins, again, and where its name does.
        if end <= start || number(self.table, at)? != start {
            return None;
        }
        let name =
            self.names.get(usize::try_from(number(self.table, at.checked_add(4)?)?).ok()?..)?;
        let name = &name[..name.len().min(MAX_NAME)];
        let name = &name[..memchr::memchr(0, name)?];
        Some(Function { name, start, end })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Where in a section a table may begin.
pub(super) fn find(section: &[u8]) -> Option<usize> {
    HEADS
        .iter()
        .flat_map(|head| memchr::memmem::find_iter(section, head))
        .filter(|at| at % 8 == 0)
        .find(|at| Functions::parse(&section[*at..]).is_some_and(|it| it.iter().next().is_some()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of functions of 16 bytes each.
    fn table(names: &[&str], text: u64) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut entries = Vec::new();
        let mut funcs = Vec::new();
        let first = 8 * names.len() + 4;
        for (n, name) in names.iter().enumerate() {
            let start = 16 * n as u32;
            entries.extend(start.to_le_bytes());
            entries.extend((first as u32 + 8 * n as u32).to_le_bytes());
            funcs.extend(start.to_le_bytes());
            funcs.extend((strings.len() as u32).to_le_bytes());
            strings.extend(name.as_bytes());
            strings.push(0);
        }
        entries.extend((16 * names.len() as u32).to_le_bytes());
        let mut bytes = HEADS[1].to_vec();
        let after = HEADER as u64 + strings.len() as u64;
        for word in [names.len() as u64, 0, text, HEADER as u64, 0, 0, 0, after] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(strings);
        bytes.extend(entries);
        bytes.extend(funcs);
        bytes
    }

    #[test]
    fn names_and_ranges() {
        let bytes = table(&["runtime.newproc1", "main.main"], 0x40_1000);
        let functions = Functions::parse(&bytes).expect("a table");
        assert_eq!(functions.text, 0x40_1000);
        let all: Vec<_> = functions.iter().collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].name, all[0].start, all[0].end), (&b"runtime.newproc1"[..], 0, 16));
        assert_eq!((all[1].name, all[1].start, all[1].end), (&b"main.main"[..], 16, 32));
    }

    #[test]
    fn inside_another_section() {
        let mut section = vec![0; 64];
        section.extend(HEADS[0]);
        section.extend(table(&["main.main"], 0));
        assert_eq!(find(&section), Some(72));
        assert_eq!(find(&section[..100]), None);
    }

    #[test]
    fn cut_anywhere() {
        let whole = table(&["runtime.newproc1", "main.main"], 1);
        for end in 0..whole.len() {
            if let Some(functions) = Functions::parse(&whole[..end]) {
                assert!(functions.iter().count() <= 2);
            }
        }
    }

    proptest! {
        #[test]
        fn damaged(at in 8usize..200, value: u64) {
            let mut bytes = table(&["runtime.newproc1", "main.main"], 1);
            let at = at.min(bytes.len() - 8);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            if let Some(functions) = Functions::parse(&bytes) {
                prop_assert!(functions.iter().count() <= bytes.len());
            }
        }
    }
}
