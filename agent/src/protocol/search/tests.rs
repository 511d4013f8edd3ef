#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod bodies;
mod bulks;
mod heads;
mod items;
mod leaks;
mod paths;
mod texts;

use super::Content;
use crate::protocol::http1::{self, Reader};

/// What `reader` makes of a body that comes in these pieces.
fn read(mut reader: impl Reader + 'static, pieces: &[&[u8]], whole: bool) -> Option<Content> {
    let wanted = pieces.iter().all(|piece| reader.read(piece));
    let content = Box::new(reader).finish(whole && wanted)?;
    let http1::Content::Search(content) = content;
    Some(content)
}
