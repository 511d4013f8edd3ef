//! Debian's kernels, found and fetched by apt without touching this machine's own package lists.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::{Context as _, Result, bail, ensure};

/// Suites that have kernels, with the mirror of each. Small lists all: a second to fetch.
const SUITES: [(&str, &str); 5] = [
    ("debian-security", "bullseye-security"),
    ("debian-security", "bookworm-security"),
    ("debian", "bookworm-backports"),
    ("debian-security", "trixie-security"),
    ("debian", "trixie-backports"),
];
const MIRROR: &str = "http://deb.debian.org";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Kernels for virtual machines: a fifth of the size of the others.
const FLAVOUR: &str = "-cloud-amd64";

/// A kernel, unpacked.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What `uname -r` says there.
    pub(super) release: String,
    /// The image to boot.
    pub(super) image: PathBuf,
    /// The folder that has `lib/modules`.
    pub(super) base: PathBuf,
    /// Where it was unpacked.
    pub(super) folder: PathBuf,
}

/// The newest kernel whose version begins with `name`, or that in the folder `name`.
pub(super) fn find(place: &Path, name: &str, newest: bool) -> Result<Kernel> {
    if Path::new(name).is_dir() {
        return Kernel::in_folder(&fs::canonicalize(name)?);
    }
    let kernels = place.join("kernels");
    if !newest && let Some(folder) = unpacked(&kernels, name) {
        return Kernel::in_folder(&folder);
    }
    match fetch(place, &kernels, name) {
        Ok(folder) => Kernel::in_folder(&folder),
        Err(error) => match unpacked(&kernels, name) {
            Some(folder) => {
                eprintln!("xtask: {error:#}; an older one is there");
                Kernel::in_folder(&folder)
            }
            None => Err(error),
        },
    }
}

impl Kernel {
    fn in_folder(folder: &Path) -> Result<Self> {
        // Older packages have /lib, newer ones /usr/lib.
        let bases = [folder.to_owned(), folder.join("usr")];
        let base = bases.into_iter().find(|base| base.join("lib/modules").is_dir());
        let base = base.with_context(|| format!("no modules in {}", folder.display()))?;
        let modules = entries(&base.join("lib/modules"))?;
        let release = modules
            .into_iter()
            .find(|name| base.join("lib/modules").join(name).join("kernel").is_dir());
        let release = release.with_context(|| format!("no modules in {}", base.display()))?;
        let images = [
            folder.join(format!("boot/vmlinuz-{release}")),
            base.join(format!("lib/modules/{release}/vmlinuz")),
        ];
        let image = images.into_iter().find(|image| image.is_file());
        let image = image.with_context(|| format!("no kernel image in {}", folder.display()))?;
        Ok(Self { release, image, base, folder: folder.to_owned() })
    }
}

fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.flatten();
    Ok(names.filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// The newest that was fetched before.
fn unpacked(kernels: &Path, name: &str) -> Option<PathBuf> {
    let versions = entries(kernels).ok()?;
    newest(versions, name).map(|version| kernels.join(version))
}

/// The newest of `versions` that begins with `name`, up to the end of a number.
fn newest(mut versions: Vec<String>, name: &str) -> Option<String> {
    versions.retain(|version| {
        let rest = version.strip_prefix(name);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    versions.sort_by_key(|version| Reverse(numbers(version)));
    versions.into_iter().next()
}

/// `6.12.115+deb13.1` as 6, 12, 115, 13, 1.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// apt with lists, cache and sources of its own.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(place: &Path) -> Result<Self> {
        let home = place.join("apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(home.join(folder))?;
        }
        let source = |(mirror, suite): &(&str, &str)| {
            format!("deb [signed-by={KEYRING}] {MIRROR}/{mirror} {suite} main\n")
        };
        fs::write(home.join("sources"), SUITES.iter().map(source).collect::<String>())?;
        let place = home.display();
        let options = [
            format!("Dir::Etc::SourceList={place}/sources"),
            "Dir::Etc::SourceParts=-".to_owned(),
            format!("Dir::State::Lists={place}/lists"),
            format!("Dir::Cache={place}/cache"),
            "Acquire::Languages=none".to_owned(),
            // The folder may be one that only root may enter.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { options: options.into_iter().flat_map(|o| ["-o".to_owned(), o]).collect() })
    }

    /// Fetches the lists. A suite that is not there, because it is old or the network is down, leaves
    /// the others: what went wrong is returned, to be said if it matters.
    fn update(&self, folder: &Path) -> Result<String> {
        let mut command = Command::new("apt-get");
        command.args(&self.options).args(["-qq", "update"]).current_dir(folder);
        let output = command.output().context("apt-get")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors.lines().find(|line| line.starts_with(['E', 'W']));
        Ok(first.map_or_else(String::new, |line| format!("; apt-get update: {line}")))
    }

    fn run(&self, program: &str, folder: &Path, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(&self.options).args(arguments).current_dir(folder);
        let output = command.output().with_context(|| program.to_owned())?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let error = errors.lines().find(|line| line.starts_with("E:")).unwrap_or(errors.trim());
        ensure!(output.status.success(), "{program} {}: {error}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn fetch(place: &Path, kernels: &Path, name: &str) -> Result<PathBuf> {
    let apt = Apt::new(place)?;
    let trouble = apt.update(place)?;
    let known = apt.run("apt-cache", place, &["pkgnames", "linux-"])?;
    let known: Vec<&str> = known.lines().collect();
    let version = |package: &&str| {
        Some(package.strip_prefix("linux-image-")?.strip_suffix(FLAVOUR)?.to_owned())
    };
    let versions = known.iter().filter_map(version).collect();
    let Some(version) = newest(versions, name) else {
        bail!("none of Debian's kernels has a version {name}{trouble}");
    };
    let folder = kernels.join(&version);
    if folder.is_dir() {
        return Ok(folder);
    }
    // Since 6.19 a kernel is split in three.
    let parts = ["image", "binary", "modules", "base"]
        .map(|part| format!("linux-{part}-{version}{FLAVOUR}"));
    let parts: Vec<&str> =
        parts.iter().map(String::as_str).filter(|part| known.contains(part)).collect();
    eprintln!("xtask: fetching {}", parts.join(" "));
    fs::create_dir_all(kernels)?;
    let download = tempfile::tempdir_in(place)?;
    apt.run("apt-get", download.path(), &[&["-qq", "download"], &parts[..]].concat())?;
    // A name that only a whole kernel has.
    let unpacking = tempfile::tempdir_in(place)?;
    for package in entries(download.path())? {
        let mut command = Command::new("dpkg");
        command.arg("-x").arg(download.path().join(&package)).arg(unpacking.path());
        ensure!(command.status().context("dpkg")?.success(), "dpkg -x {package} failed");
    }
    fs::rename(unpacking.keep(), &folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_of_a_series() {
        let all = || {
            [
                "6.1.0-9",
                "6.1.0-56",
                "6.1.0-0.deb11.51",
                "6.12.117+deb12",
                "6.12.115+deb13.1",
                "7.2.12+deb13",
                "lost+found",
            ]
            .map(str::to_owned)
            .to_vec()
        };
        assert_eq!(newest(all(), "6.1").as_deref(), Some("6.1.0-56"));
        assert_eq!(newest(all(), "6.12").as_deref(), Some("6.12.117+deb12"));
        assert_eq!(newest(all(), "6.12.115").as_deref(), Some("6.12.115+deb13.1"));
        assert_eq!(newest(all(), "6.1.0-9").as_deref(), Some("6.1.0-9"));
        assert_eq!(newest(all(), "7.1"), None);
    }
}
