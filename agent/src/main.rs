//! The `tracebee` command.
fn main() {
    let stats = std::sync::Arc::new(tracebee::stats::Stats::default());
    let mut live = tracebee::source::live::Live::start(
        std::num::NonZeroU32::new(16 << 20).expect("not zero"),
        stats,
    )
    .unwrap_or_else(|e| panic!("{e}"));
    eprintln!("ready: {}", live.attached());
    for _ in 0..200 {
        live.poll(std::time::Duration::from_millis(50), |e| println!("{e:?}"));
    }
}
