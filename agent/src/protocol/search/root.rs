//! What a server says of itself when it is asked for `/`.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::{Content, ELASTICSEARCH, OPENSEARCH, System};
use crate::protocol::http1;

/// Longest answer that is read: those of the real servers have some 600 bytes.
pub const MAX_LENGTH: usize = 2048;

/// Keeps an answer until all of it is there.
#[derive(Debug, Default)]
pub struct Reader(Vec<u8>);

impl http1::Reader for Reader {
    fn read(&mut self, bytes: &[u8]) -> bool {
        let fits = self.0.len() + bytes.len() <= MAX_LENGTH;
        if fits {
            self.0.extend_from_slice(bytes);
        }
        fits
    }

    fn finish(self: Box<Self>, whole: bool) -> Option<http1::Content> {
        let system = match (whole, &*self.0) {
            (false, _) => None,
            // Most clients take compressed answers, and the servers compress this one, too.
            (true, [0x1f, 0x8b, ..]) => {
                let mut answer = Vec::new();
                let mut decoder = GzDecoder::new(&*self.0).take(MAX_LENGTH as u64);
                decoder.read_to_end(&mut answer).ok()?;
                system(&answer)
            }
            (true, answer) => system(answer),
        };
        Some(http1::Content::Search(Content::Root(system?)))
    }
}

/// The product that this answer names. All of these servers say which Lucene they have, and each
/// has its tagline; OpenSearch has its name, too.
fn system(answer: &[u8]) -> Option<&'static System> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let version = answer.get("version")?;
    version.get("lucene_version")?.as_str()?;
    answer.get("cluster_name")?.as_str()?;
    let tagline = answer.get("tagline")?.as_str()?;
    match version.get("distribution").map(serde_json::Value::as_str) {
        Some(Some("opensearch")) => Some(&OPENSEARCH),
        None if tagline == "You Know, for Search" => Some(&ELASTICSEARCH),
        None if tagline.starts_with("The OpenSearch Project") => Some(&OPENSEARCH),
        _ => None,
    }
}
