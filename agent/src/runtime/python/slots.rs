//! Functions that make contexts but for `PyContext_CopyCurrent`: they have no symbols, but the type of
//! contexts names them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The type of contexts, which is exported.
pub(super) const TYPE: &str = "PyContext_Type";

/// Addresses in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// `PyTypeObject.tp_new`: of `Context()`.
    pub(super) new: u64,
    /// `Context.copy`.
    pub(super) copy: u64,
    /// Objects have the longer heads of a build without the global lock.
    pub(super) free_threaded: bool,
}

/// What `tp_name` is, with the name of its module or without.
const NAMES: [&[u8]; 3] = [b"Context\0", b"contextvars.Context\0", b"_contextvars.Context\0"];
/// Longest of them.
const MAX_NAME: usize = 24;
/// Methods that are looked at; there are seven.
const MAX_METHODS: u64 = 32;

/// The slots of the type at `address`. None if that is no type of contexts.
pub(super) fn of(proc: &Path, pid: u32, address: u64) -> Option<Slots> {
    let memory = File::open(proc.join(format!("{pid}/mem"))).ok()?;
    let memory = Memory(&memory);
    // The head of an object of variable size is of 24 bytes, or of 40 without the global lock. What
    // comes behind it has not moved since 3.8.
    [(24, false), (40, true)].into_iter().find_map(|(head, free_threaded)| {
        let slot = |offset: u64| memory.word(address.checked_add(head + offset)?);
        let name = memory.text(slot(0)?)?;
        if !NAMES.iter().any(|known| name.starts_with(known)) {
            return None;
        }
        let (methods, new) = (slot(208)?, slot(288)?);
        Some(Slots { new, copy: memory.method(methods, b"copy\0")?, free_threaded })
    })
}

/// That of a process.
struct Memory<'a>(&'a File);

impl Memory<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, address).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }

    fn text(&self, address: u64) -> Option<[u8; MAX_NAME]> {
        let mut bytes = [0; MAX_NAME];
        self.0.read_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    /// What a `PyMethodDef` of the array at `methods` calls: each has a name, a function, flags and a
    /// text, and the last has no name.
    fn method(&self, methods: u64, name: &[u8]) -> Option<u64> {
        const SIZE: u64 = 32;
        for n in 0..MAX_METHODS {
            let at = methods.checked_add(n * SIZE)?;
            if self.text(self.word(at)?)?.starts_with(name) {
                return self.word(at + 8);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type with two methods, as it lies in memory: `head` is that of objects.
    fn type_object(head: usize, name: &[u8], methods: &[[u64; 4]]) -> Vec<u64> {
        let mut words = vec![0; 64];
        words[head / 8] = name.as_ptr() as u64;
        words[head / 8 + 26] = methods.as_ptr() as u64;
        words[head / 8 + 36] = 0x1234;
        words
    }

    fn found(head: usize, name: &[u8], methods: &[[u64; 4]]) -> Option<Slots> {
        let words = type_object(head, name, methods);
        of(Path::new("/proc"), std::process::id(), words.as_ptr() as u64)
    }

    #[test]
    fn a_type_names_its_functions() {
        let name = *b"_contextvars.Context\0beyond";
        let (run, copy) = (*b"run\0there is more after it\0", *b"copy\0there is more after it");
        let method = |name: &[u8], function| [name.as_ptr() as u64, function, 0, 0];
        let methods = [method(&run, 1), method(&copy, 2), [0; 4]];
        for (head, free_threaded) in [(24, false), (40, true)] {
            let slots = Slots { new: 0x1234, copy: 2, free_threaded };
            assert_eq!(found(head, &name, &methods), Some(slots));
            assert_eq!(found(head, b"ContextVar\0 is another type", &methods), None);
            assert_eq!(found(head, &name, &[methods[0], [0; 4]]), None, "no such method");
        }
        assert_eq!(of(Path::new("/proc"), std::process::id(), 8), None, "no memory");
        assert_eq!(of(Path::new("/proc"), u32::MAX, 8), None, "no process");
    }
}
