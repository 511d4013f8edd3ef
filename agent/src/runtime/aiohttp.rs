//! aiohttp's server, a library of CPython: one task serves a connection for as long as it lives, and
//! another context reads for it. Its parser is compiled and tells which of the requests that it has found
//! the task takes up.

use std::path::Path;

use super::library::{self, Library};
use super::maps::Mapping;

/// The return of a request that was found, and what reads its method: the server asks for that once,
/// when it takes the request up (3.7 to 3.14).
const FUNCTIONS: [(&str, &str); 2] = [
    ("aiohttp_parsed", "__pyx_f_7aiohttp_12_http_parser__new_request_message"),
    ("aiohttp_takes", "__pyx_getprop_7aiohttp_12_http_parser_17RawRequestMessage_method"),
];

/// The parser in a process. None if there is none, or one that cannot be read or has no symbols, as
/// Debian's: clients have it, too, and need it for nothing.
pub(super) fn find(proc: &Path, pid: u32, mappings: &[Mapping]) -> Option<Library> {
    let is_parser = |mapping: &&Mapping| {
        mapping.path.contains("/aiohttp/_http_parser.") && mapping.path.ends_with(".so")
    };
    let mapping = mappings.iter().find(is_parser)?;
    library::find(proc, pid, mapping, &FUNCTIONS).ok().flatten()
}
