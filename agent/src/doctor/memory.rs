//! Whether the memory that the agent may take is enough.

use super::finding::{Area, Finding};
use crate::limit::budget::{Budget, LimitArgs};

const TOPIC: &str = "memory";

pub(super) fn check(args: &LimitArgs) -> Finding {
    match Budget::of(args) {
        Ok(budget) => Area::Host.ok(
            TOPIC,
            format!(
                "{} MiB at most, {} connections at once",
                budget.memory >> 20,
                budget.connections
            ),
        ),
        Err(too_little) => Area::Host.problem(
            TOPIC,
            too_little.to_string(),
            "change --max-memory or --ring-size, or the control group's limit",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn too_little_is_a_problem() {
        let ring_size = NonZeroU32::new(16 << 20).expect("above zero");
        let args = |max_memory| LimitArgs { max_memory, max_connections: None, ring_size };
        assert_eq!(check(&args(20 << 20)).verdict, Verdict::Problem);
        assert_eq!(check(&args(256 << 20)).verdict, Verdict::Ok);
    }
}
