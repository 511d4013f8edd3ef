//! Tasks of the project: `cargo xtask TASK`.

mod attribution;
mod bench;
mod ebpf;
mod vm;

use std::process::ExitCode;

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
    /// Trace services under load and print how many of their calls found their parents (as root)
    Attribution {
        /// At least 20,000 calls a cell
        #[arg(long)]
        full: bool,
        /// Services give their calls the ids of other requests: what is linked must be the same
        #[arg(long)]
        permuted: bool,
        /// Only these services
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        service: Vec<String>,
        /// Only these endpoints of theirs
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        endpoint: Vec<String>,
        /// Only with so many requests in flight
        #[arg(long, value_name = "N", value_delimiter = ',')]
        in_flight: Vec<String>,
    },
    /// Run a command, or a live suite, on another of Debian's kernels (as root)
    Vm(vm::VmArgs),
    /// The benchmarks' OTLP receiver: counts spans until it is killed
    #[command(hide = true)]
    Sink,
}

fn main() -> anyhow::Result<ExitCode> {
    match Task::parse() {
        Task::Ebpf { check } => ebpf::run(check)?,
        Task::Bench(bench) => bench::run(&bench)?,
        Task::Attribution { full, permuted, service, endpoint, in_flight } => {
            let cut =
                [("--service", service), ("--endpoint", endpoint), ("--in-flight", in_flight)];
            return attribution::run(full, permuted, &cut);
        }
        Task::Vm(args) => return vm::run(&args),
        Task::Sink => bench::sink::serve()?,
    }
    Ok(ExitCode::SUCCESS)
}
