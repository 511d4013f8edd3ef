//! The memory limit of the control group that the agent runs in.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that the process may take by the strictest limit of its control group and all above, v1
/// or v2; none without a limit.
pub(super) fn limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    find(&own, &mounts, |file| fs::read_to_string(file).ok())
}

fn find(own: &str, mounts: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let strictest = |hierarchy: &Hierarchy| {
        let Hierarchy { mounted, path, file } = hierarchy;
        let levels = path.ancestors().map(|level| mounted.join(level).join(file));
        levels.filter_map(|file| read(&file)?.trim().parse::<u64>().ok()).min()
    };
    // v1 says "no limit" by a number near 2^63.
    let limits = hierarchies(own, mounts).iter().filter_map(strictest).min();
    limits.filter(|limit| *limit < 1 << 60)
}

struct Hierarchy {
    mounted: PathBuf,
    /// Of the process's group below the mount.
    path: PathBuf,
    file: &'static str,
}

/// cgroups(7), `/proc/[pid]/cgroup`: `number:controllers:path`; v2 is number 0.
fn hierarchies(own: &str, mounts: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let v2 = number == "0" && controllers.is_empty();
        if !v2 && !controllers.split(',').any(|name| name == "memory") {
            continue;
        }
        let Some((root, mounted)) = mount(mounts, v2) else { continue };
        // In a container the mount may show only the container's own group.
        let path = path.strip_prefix(root.trim_end_matches('/')).unwrap_or("");
        found.push(Hierarchy {
            mounted: mounted.into(),
            path: path.trim_start_matches('/').into(),
            file: if v2 { "memory.max" } else { "memory.limit_in_bytes" },
        });
    }
    found
}

/// Root and mount point of the hierarchy (proc_pid_mountinfo(5)).
fn mount(mounts: &str, v2: bool) -> Option<(&str, &str)> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let right = if v2 {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && options.split(',').any(|option| option == "memory")
        };
        let mut before = before.split(' ').skip(3);
        right.then_some((before.next()?, before.next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
        31 24 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        32 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    const V2: &str = "24 1 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn files<'a>(files: &'a [(&str, &'a str)]) -> impl Fn(&Path) -> Option<String> + 'a {
        |path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        }
    }

    #[test]
    fn the_strictest_group_counts() {
        let own = "0::/system.slice/tracebee.service\n";
        let tree = [
            ("/sys/fs/cgroup/system.slice/tracebee.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "268435456\n"),
            ("/sys/fs/cgroup/user.slice/memory.max", "1\n"),
        ];
        assert_eq!(find(own, V2, files(&tree)), Some(256 << 20));
        assert_eq!(find(own, V2, files(&tree[..1])), None);
    }

    #[test]
    fn the_first_version_is_read_too() {
        let own = "5:memory:/a\n3:cpu,cpuacct:/b\n0::/\n";
        let tree = [
            ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "67108864\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(find(own, V1, files(&tree)), Some(64 << 20));
        assert_eq!(find(own, V1, files(&tree[1..])), None, "no limit");
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let mounts = V2.replace(" / /sys", " /docker/abc /sys");
        let tree = [("/sys/fs/cgroup/memory.max", "1000000\n")];
        assert_eq!(find("0::/docker/abc\n", &mounts, files(&tree)), Some(1_000_000));
        assert_eq!(find("0::/\n", V2, files(&tree)), Some(1_000_000));
    }

    #[test]
    fn nothing_to_read_is_no_limit() {
        for own in ["", "0", "0::", "0::/x\n", "7:memory:/x"] {
            assert_eq!(find(own, "", |_| None), None);
            assert_eq!(find(own, V2, |_| None), None);
        }
    }
}
