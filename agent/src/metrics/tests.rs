//! The page and docs/metrics.md say the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::export::{Config, Exporters, Filter, Output, QUEUE_BYTES};
use crate::link::Link;
use crate::stats::{Loss, Stats};

const DOCS: &str = include_str!("../../../docs/metrics.md");

fn page(stats: &Arc<Stats>) -> String {
    let config =
        Config { otlp: None, output: Output::None, filter: Filter::default(), queue: QUEUE_BYTES };
    let exporters = Exporters::start(config, Arc::clone(stats)).expect("no thread is needed");
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(Sources {
        stats: Arc::clone(stats),
        kernel: Gauges::made_up(100, 1124),
        queues: exporters.queues(),
    })));
    render(&registry)
}

/// Names with the values of their labels: `name{label="value"}`.
fn samples(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[test]
fn everything_is_there_from_the_start() {
    let page = page(&Arc::default());
    for loss in Loss::ALL {
        let (name, unit) = (loss.name(), loss.unit());
        let line = format!("tracebee_losses_total{{reason=\"{name}\",unit=\"{unit}\"}} 0\n");
        assert!(page.contains(&line), "{line} is not in {page}");
    }
    for link in Link::ALL {
        let line = format!("tracebee_links_total{{kind=\"{}\"}} 0\n", link.name());
        assert!(page.contains(&line), "{line} is not in {page}");
    }
    assert!(page.contains("\ntracebee_ring_bytes 1024\n"), "{page}");
    assert!(page.ends_with("\n# EOF\n"), "{page}");
}

#[test]
fn numbers_are_those_of_the_statistics() {
    let stats = Arc::new(Stats::default());
    stats.lose(Loss::Gap, 3);
    stats.linked(Link::Sequence);
    stats.event_bytes.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
    let page = page(&stats);
    for line in [
        "tracebee_losses_total{reason=\"gap\",unit=\"calls\"} 3",
        "tracebee_links_total{kind=\"seq\"} 1",
        "tracebee_event_bytes_total 18446744073709551615",
        "# UNIT tracebee_event_bytes bytes",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line} is not in {page}");
    }
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    // In the tables of the page, the first cell is the name, in backticks.
    let cells = DOCS.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let named: BTreeSet<&str> = cells.collect();
    let page = page(&Arc::default());
    let samples = samples(&page);
    let there: BTreeSet<&str> =
        samples.iter().filter_map(|sample| sample.split('{').next()).collect();
    let losses: BTreeSet<&str> = Loss::ALL.into_iter().map(Loss::name).collect();
    let expected: BTreeSet<&str> = there.union(&losses).copied().collect();
    assert_eq!(named, expected, "docs/metrics.md (left) and the page (right) differ");
    for loss in Loss::ALL {
        let row = format!("| `{}` | {} |", loss.name(), loss.unit());
        assert!(DOCS.contains(&row), "docs/metrics.md has no row {row}");
    }
    for link in Link::ALL {
        assert!(DOCS.contains(&format!("`{}`", link.name())), "{}", link.name());
    }
}
