//! Which calls are left out under load. Both ends of a call, and kernel and user space, decide by
//! the same number, so that a call is told by both of its ends or by none.

/// A share of all calls, in [`WHOLE`]ths: those are left out whose [`number`] is below it.
pub type Share = u32;

/// All of them.
pub const WHOLE: Share = 1 << 16;

/// The number of the call whose request begins at `position` of the stream from `client` to
/// `server` (first sequence numbers of the two directions): even, below [`WHOLE`].
///
/// The last steps of MurmurHash3 (public domain) mix every bit of the key into each of the result.
#[inline(always)]
pub fn number(client: u32, server: u32, position: u64) -> Share {
    let mut key = (client as u64) << 32 | server as u64;
    key ^= position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key ^= key >> 33;
    key = key.wrapping_mul(0xff51_afd7_ed55_8ccd);
    key ^= key >> 33;
    key = key.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    key ^= key >> 33;
    key as u32 & (WHOLE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_calls_of_one_connection_are_even() {
        for (size, share) in [(1, WHOLE / 2), (41, WHOLE / 2), (512, WHOLE / 16), (100, WHOLE)] {
            let calls = 100_000;
            let out = (0..calls).filter(|call| number(77, 12345, call * size) < share).count();
            let expected = calls as f64 * f64::from(share) / f64::from(WHOLE);
            let off = (out as f64 - expected).abs();
            assert!(off <= expected * 0.05, "{size} {share}: {out}, not {expected}");
        }
    }

    #[test]
    fn short_connections_are_told_apart() {
        let out = (0..10_000u32).filter(|c| number(c * 64_007, *c, 0) < WHOLE / 4).count();
        assert!((2_300..2_700).contains(&out), "{out}");
    }
}
