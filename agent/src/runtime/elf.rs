//! Executables and libraries: what they export, and where that is in the file and in a process.

use std::fs::File;

use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _, ReadCache, elf};

use super::maps::Mapping;

/// An ELF file of which only what is looked at is read.
pub(super) type Elf<'a> = ElfFile64<'a, Endianness, &'a ReadCache<File>>;

/// Address of what it exports as `name`.
pub(super) fn exported(elf: &Elf<'_>, name: &str) -> Option<u64> {
    let mut symbols = elf.dynamic_symbols();
    symbols.find(|symbol| symbol.name() == Ok(name)).map(|symbol| symbol.address())
}

/// Where in the file an address of it is.
pub(super) fn in_file(elf: &Elf<'_>, address: u64) -> Option<u64> {
    let endian = elf.endian();
    let loads = elf.elf_program_headers().iter().filter(|h| h.p_type(endian) == elf::PT_LOAD);
    loads.into_iter().find_map(|header| {
        let within = address.checked_sub(header.p_vaddr(endian))?;
        (within < header.p_filesz(endian)).then(|| header.p_offset(endian).checked_add(within))?
    })
}

/// How far the file's addresses were moved when it was loaded.
pub(super) fn bias(elf: &Elf<'_>, mappings: &[Mapping], image: &Mapping) -> Option<u64> {
    let endian = elf.endian();
    let mapping = mappings.iter().find(|mapping| mapping.path == image.path)?;
    // A page may hold the end of one segment and the beginning of the next.
    let header = elf
        .elf_program_headers()
        .iter()
        .filter(|header| header.p_type(endian) == elf::PT_LOAD)
        .find(|header| {
            let from = header.p_offset(endian);
            from.saturating_sub(mapping.offset) < 4096
                && from.saturating_add(header.p_filesz(endian)) > mapping.offset
        })?;
    let address = header.p_vaddr(endian).wrapping_sub(header.p_offset(endian));
    Some(mapping.start.wrapping_sub(address.wrapping_add(mapping.offset)))
}
