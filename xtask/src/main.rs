//! Tasks of the project: `cargo xtask TASK`.

mod bench;
mod ebpf;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Compile the kernel programs into the committed object
    Ebpf {
        /// Only prove that the committed object comes from this source, byte for byte
        #[arg(long)]
        check: bool,
    },
    /// Measure what tracing costs
    #[command(subcommand)]
    Bench(bench::Bench),
    /// The benchmarks' OTLP receiver: counts spans until it is killed
    #[command(hide = true)]
    Sink,
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Ebpf { check } => ebpf::run(check),
        Task::Bench(bench) => bench::run(&bench),
        Task::Sink => bench::sink::serve(),
    }
}
