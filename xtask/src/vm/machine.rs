//! One machine: QEMU over the host's root, which virtiofs exports for reading.

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::kernel::Kernel;

const QEMU: &str = "qemu-system-x86_64";
/// Debian 12's, written in C; later ones take other options.
const VIRTIOFSD: &str = "/usr/lib/qemu/virtiofsd";
/// Programs and the package of each.
const NEEDED: [(&str, &str); 7] = [
    (QEMU, "qemu-system-x86"),
    (VIRTIOFSD, "qemu-system-common"),
    ("/bin/busybox", "busybox-static"),
    ("/sbin/modprobe", "kmod"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("apt-get", "apt"),
];
/// How long a helper may take until it listens.
const HELPER_LIMIT: Duration = Duration::from_secs(5);
/// Lines of the kernel's messages that are shown where a machine ends without an exit code.
const TAIL: usize = 20;

/// What is run where.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) initramfs: PathBuf,
    pub(super) kvm: bool,
    /// In MiB.
    pub(super) memory: u32,
    pub(super) limit: Duration,
    /// What the machine writes to `/vmout`.
    pub(super) out: PathBuf,
}

/// Says what keeps this host from running any machine.
pub(super) fn possible() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("this processor is no x86_64");
    }
    // SAFETY: plain system call.
    if unsafe { libc::geteuid() } != 0 {
        bail!("exporting the root file system takes root");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
            || (program.starts_with('/') && Path::new(program).is_file())
    };
    let missing: Vec<_> =
        NEEDED.iter().filter(|(program, _)| !there(program)).map(|(_, package)| *package).collect();
    ensure!(missing.is_empty(), "missing: {}; tools/vm-toolchain installs it", missing.join(" "));
    Ok(())
}

/// A program that ends with the machine, and with this one.
struct Helper(Child);

impl Helper {
    fn start(mut command: Command) -> Result<Self> {
        // SAFETY: prctl is async-signal-safe and touches nothing of the parent.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| command.get_program().to_string_lossy().into_owned())?))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself, with the machine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine<'_> {
    /// Boots, runs `command` in this folder, passes its output on and returns its exit code.
    pub(super) fn run(&self, command: &[String]) -> Result<u8> {
        let scratch = tempfile::Builder::new().prefix("tracebee-vm-").tempdir()?;
        let at = |name: &str| scratch.path().join(name);
        let control = at("control");
        fs::create_dir(&control)?;
        fs::create_dir_all(&self.out)?;
        fs::write(control.join("command"), script(command)?)?;
        let modules = self.kernel.base.join("lib/modules").join(&self.kernel.release);
        fs::write(control.join("modules"), modules.to_string_lossy().as_bytes())?;

        let shares = [
            // Nothing of the host changes under it while it runs.
            ("root", Path::new("/"), "cache=always,no_posix_lock"),
            ("out", self.out.as_path(), "cache=none,writeback"),
            ("ctl", control.as_path(), "cache=none"),
        ];
        let mut helpers = Vec::new();
        for (tag, folder, options) in shares {
            helpers.push(share(&at(tag), folder, options)?);
        }
        let output = UnixListener::bind(at("output"))?;
        let printer = thread::spawn(move || {
            let (mut from, _) = output.accept()?;
            io::copy(&mut from, &mut io::stdout())
        });
        let console = at("console");
        let mut qemu = Helper::start(self.qemu(scratch.path(), &console))?;
        let deadline = Instant::now() + self.limit;
        let ended = loop {
            if let Some(status) = qemu.0.try_wait()? {
                break Some(status);
            }
            if Instant::now() > deadline {
                break None;
            }
            thread::sleep(Duration::from_millis(20));
        };
        drop(qemu);
        // Ends with the machine, if it began.
        if control.join("code").is_file() {
            let _ = printer.join();
        }
        match fs::read_to_string(control.join("code")) {
            Ok(code) => Ok(code.trim().parse().unwrap_or(u8::MAX)),
            Err(_) => {
                let messages = fs::read_to_string(&console).unwrap_or_default();
                let lines: Vec<&str> = messages.lines().collect();
                let tail = &lines[lines.len().saturating_sub(TAIL)..];
                eprintln!("{}", tail.join("\n"));
                match ended {
                    None => bail!("the machine was still running after {:?}", self.limit),
                    Some(status) => bail!("the machine ended without an exit code ({status})"),
                }
            }
        }
    }

    fn qemu(&self, sockets: &Path, console: &Path) -> Command {
        let memory = format!("{}M", self.memory);
        let mut command = Command::new(QEMU);
        command
            .args(["-M", "q35,usb=off,hpet=off,vmport=off", "-cpu", "max", "-smp", "2"])
            .args(["-accel", if self.kvm { "kvm" } else { "tcg,thread=multi,tb-size=512" }])
            .args(["-m", &memory, "-numa", "node,memdev=memory"])
            .args(["-object", &format!("memory-backend-memfd,id=memory,size={memory},share=on")])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(&self.initramfs)
            .arg("-append")
            .arg(
                "console=ttyS0 quiet loglevel=4 panic=-1 tsc=reliable mitigations=off nokaslr \
                 audit=0 random.trust_cpu=on",
            )
            .arg("-serial")
            .arg(format!("file:{}", console.display()));
        for tag in ["root", "out", "ctl"] {
            let socket = sockets.join(tag);
            command.arg("-chardev").arg(format!("socket,id={tag},path={}", socket.display()));
            command.arg("-device").arg(format!("vhost-user-fs-pci,chardev={tag},tag={tag}"));
        }
        let output = sockets.join("output");
        command.arg("-chardev").arg(format!("socket,id=output,path={}", output.display()));
        command.args(["-device", "virtio-serial-pci"]);
        command.args(["-device", "virtserialport,chardev=output,name=output"]);
        command
    }
}

/// Exports a folder at a socket.
fn share(socket: &Path, folder: &Path, options: &str) -> Result<Helper> {
    let log = fs::File::create(socket.with_extension("log"))?;
    let mut command = Command::new(VIRTIOFSD);
    command
        .arg(format!("--socket-path={}", socket.display()))
        .arg("-o")
        .arg(format!("source={},sandbox=chroot,{options}", folder.display()))
        .args(["-f", "--thread-pool-size=2"])
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut helper = Helper::start(command)?;
    let deadline = Instant::now() + HELPER_LIMIT;
    while !socket.exists() {
        if helper.0.try_wait()?.is_some() || Instant::now() > deadline {
            let said = fs::read_to_string(socket.with_extension("log")).unwrap_or_default();
            bail!("{VIRTIOFSD} does not export {}: {}", folder.display(), said.trim());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(helper)
}

/// The command for bash, in the caller's folder and with its path.
fn script(command: &[String]) -> Result<String> {
    let folder = std::env::current_dir()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    Ok(format!(
        "cd {} || exit 125\nexport PATH={} HOME={} TERM=dumb\nexec {}\n",
        quoted(&folder.to_string_lossy()),
        quoted(&path),
        quoted(&home),
        words.join(" ")
    ))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        let words = ["a b", "it's", "$HOME", "", "*"].map(str::to_owned);
        let script = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let mut command = Command::new("bash");
        let output = command.arg("-c").arg(format!("printf '%s\\n' {script}")).output();
        let output = String::from_utf8(output.expect("bash").stdout).expect("text");
        assert_eq!(output.lines().collect::<Vec<_>>(), words);
    }
}
