//! TCP sequence numbers as stream positions.

/// Extends the 32-bit difference between `sequence` and `last` to a 64-bit position.
///
/// `last_position` is the position that belonged to `last`. Steps of up to 2 GiB either way are
/// told apart (RFC 9293 3.4: serial number arithmetic); a position never falls below zero.
#[inline(always)]
pub fn position(last_position: u64, last: u32, sequence: u32) -> u64 {
    let step = sequence.wrapping_sub(last) as i32;
    if step >= 0 {
        last_position.wrapping_add(step as u64)
    } else {
        let back = (step as i64).unsigned_abs();
        last_position.saturating_sub(back)
    }
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn wraps_and_steps_back() {
        assert_eq!(position(0, u32::MAX - 4, 5), 10);
        assert_eq!(position(10, 5, u32::MAX - 4), 0);
        assert_eq!(position(10, 5, u32::MAX), 4);
        assert_eq!(position(3, 100, 0), 0);
        assert_eq!(position(1 << 40, 7, 7), 1 << 40);
    }
}
