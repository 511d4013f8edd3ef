//! Spans of one process belong together: OTLP names the resource once for all of them.

use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::workload::Resource;

/// Groups by resource (pointer identity), in order of first appearance.
///
/// Two `Arc`s with equal contents make two groups: valid OTLP, and cheaper than comparing.
pub(super) fn by_resource<T>(
    spans: Vec<T>,
    resource: impl Fn(&T) -> &Arc<Resource>,
) -> Vec<(Arc<Resource>, Vec<T>)> {
    let mut groups: Vec<(Arc<Resource>, Vec<T>)> = Vec::new();
    let mut index = HashMap::with_hasher(FxBuildHasher);
    for span in spans {
        let resource = resource(&span);
        let at = *index.entry(Arc::as_ptr(resource)).or_insert_with(|| {
            groups.push((Arc::clone(resource), Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(span);
    }
    groups
}
