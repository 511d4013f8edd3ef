//! What the linker wrote down of a build (`debug/buildinfo`): it survives stripping.

/// Longest version that is believed.
const MAX_VERSION: usize = 40;
/// Bytes of the section that hold the version: its header and a short text.
pub(crate) const MAX_BUILD_INFO: u64 = 32 + 1 + MAX_VERSION as u64;

/// The version in `.go.buildinfo` since Go 1.18: a magic number, pointer size, flags with bit 1 for
/// texts in place, then at byte 32 the length and the version. Older ones have pointers there.
pub(crate) fn version(section: &[u8]) -> Option<String> {
    let rest = section.strip_prefix(b"\xff Go buildinf:")?;
    let inline = rest.get(1)? & 2 != 0;
    let length = usize::from(*section.get(32)?);
    if !inline || length > MAX_VERSION {
        return None;
    }
    let version = std::str::from_utf8(section.get(33..33 + length)?).ok()?;
    // `go1.26.8 X:experiment`
    let version = version.strip_prefix("go")?.split(' ').next()?;
    version.bytes().all(|c| c.is_ascii_graphic()).then(|| version.to_owned())
}

/// Bytes of the section in which the main module is looked for.
pub(super) const MAX_INFO: u64 = 64 << 10;

/// The path of the main module: after the version comes a text of lines, one of them `mod`, path,
/// version. None of programs that are built without modules.
pub(super) fn module(section: &[u8]) -> Option<String> {
    let lines = section.get(33 + usize::from(*section.get(32)?)..)?;
    let from = memchr::memmem::find(lines, b"\nmod\t")? + 5;
    let path = lines[from..].split(|byte| matches!(byte, b'\t' | b'\n')).next()?;
    let path = std::str::from_utf8(path).ok()?;
    (!path.is_empty()).then(|| path.to_owned())
}

/// 26 of `1.26.8`, `1.26rc1` and `1.26-custom`.
pub(super) fn minor(version: &str) -> Option<u8> {
    let rest = version.strip_prefix("1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_information() {
        let info = |flags: u8, version: &str| {
            let mut bytes = b"\xff Go buildinf:".to_vec();
            bytes.extend([8, flags]);
            bytes.resize(32, 0);
            bytes.push(version.len() as u8);
            bytes.extend(version.as_bytes());
            bytes
        };
        assert_eq!(version(&info(2, "go1.26.8")).as_deref(), Some("1.26.8"));
        assert_eq!(version(&info(2, "go1.25 X:nodwarf5")).as_deref(), Some("1.25"));
        assert_eq!(version(&info(0, "go1.17")), None, "a pointer");
        let whole = info(2, "go1.26.8");
        for end in 0..whole.len() {
            assert_eq!(version(&whole[..end]), None, "{end}");
        }
        let mut long = info(2, "go1");
        long[32] = 255;
        assert_eq!(version(&long), None);
        let mut with_module = info(2, "go1.26.8");
        with_module.extend(b"\x40path\tshop/cmd\nmod\tshop\t(devel)\ndep\tx\tv1\n");
        assert_eq!(module(&with_module).as_deref(), Some("shop"));
        assert_eq!(module(&whole), None);
    }

    #[test]
    fn minor_versions() {
        for (version, number) in [
            ("1.26.8", Some(26)),
            ("1.19", Some(19)),
            ("1.28rc1", Some(28)),
            ("1.", None),
            ("1.x", None),
            ("1.300", None),
            ("2.1", None),
            ("", None),
        ] {
            assert_eq!(minor(version), number, "{version}");
        }
    }
}
