//! Which connections are traced: everything but the agent's own export, unless flags say else.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::source::{Address, Opened};

/// The flags that select what is traced.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Trace only")]
pub struct SelectArgs {
    /// Which ports.
    #[command(flatten)]
    pub ports: PortArgs,
    /// Only these processes; repeat it for several (the variable takes a list: 1,2)
    #[arg(long, value_name = "PID", env = "TRACEBEE_PID", value_delimiter = ',')]
    pub pid: Vec<u32>,
    /// Only processes whose executable has this file name
    #[arg(long, value_name = "NAME", env = "TRACEBEE_EXE", value_delimiter = ',')]
    pub exe: Vec<String>,
    /// No processes whose executable has this file name
    #[arg(long, value_name = "NAME", env = "TRACEBEE_EXCLUDE_EXE", value_delimiter = ',')]
    pub exclude_exe: Vec<String>,
}

/// The flags that select connections by port.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Trace only")]
pub struct PortArgs {
    /// Only connections with this port at either end: no UNIX sockets
    #[arg(long, value_name = "PORT", env = "TRACEBEE_PORT", value_delimiter = ',')]
    pub port: Vec<u16>,
    /// No connections with this port at either end
    #[arg(long, value_name = "PORT", env = "TRACEBEE_EXCLUDE_PORT", value_delimiter = ',')]
    pub exclude_port: Vec<u16>,
}

/// Decides whether a connection is traced.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    args: SelectArgs,
    /// Addresses of the OTLP receiver: traffic to it is never traced, whoever sends it.
    receiver: Vec<SocketAddr>,
}

impl Selection {
    /// The selection that the flags describe, without traffic to `receiver`.
    pub fn new(args: SelectArgs, receiver: Vec<SocketAddr>) -> Self {
        Self { args, receiver }
    }

    /// True if the connection is to be traced.
    pub fn wants(&self, opened: &Opened) -> bool {
        self.wants_socket(opened.pid, &opened.local, &opened.remote)
    }

    /// The same of a socket of the process `pid`; one that listens has no port at its other end.
    pub fn wants_socket(&self, pid: u32, local: &Address, remote: &Address) -> bool {
        let ports = [local.port(), remote.port()].into_iter().flatten();
        let listed = |list: &[u16]| ports.clone().any(|port| list.contains(&port));
        let args = &self.args;
        if self.receives(local) || self.receives(remote) {
            return false;
        }
        if listed(&args.ports.exclude_port) {
            return false;
        }
        if !args.ports.port.is_empty() && !listed(&args.ports.port) {
            return false;
        }
        if !args.pid.is_empty() && !args.pid.contains(&pid) {
            return false;
        }
        if args.exe.is_empty() && args.exclude_exe.is_empty() {
            return true;
        }
        let name = executable(pid);
        let is = |wanted: &String| name.as_deref() == Some(wanted.as_str());
        !args.exclude_exe.iter().any(is) && (args.exe.is_empty() || args.exe.iter().any(is))
    }

    fn receives(&self, address: &Address) -> bool {
        let Address::Inet(address) = address else { return false };
        let ip: IpAddr = address.ip().to_canonical();
        self.receiver.iter().any(|r| r.port() == address.port() && r.ip().to_canonical() == ip)
    }
}

fn executable(pid: u32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(Path::new(&path).file_name()?.to_string_lossy().trim_end_matches(" (deleted)").to_owned())
}
