//! Tasks of the project: `cargo xtask TASK`.

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
}

fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Ebpf { check } => ebpf::run(check),
    }
}
