//! Medians, and how certain they are.

/// The median of some values with an interval that needs no assumption about their distribution:
/// between two order statistics, as in the sign test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Median {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// With which probability the interval holds the true median: at least 0.95 from six values
    /// on, less for fewer, where the interval is their range.
    pub(super) confidence: f64,
}

impl Median {
    /// `None` of no values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let value = match (values.get(n.checked_sub(1)? / 2), values.get(n / 2)) {
            (Some(below), Some(above)) => (below + above) / 2.0,
            _ => return None,
        };
        // Narrow the interval from both ends as long as it keeps its confidence.
        let (mut cut, mut outside) = (0, tail(n, 0));
        while cut + 1 < n.div_ceil(2) {
            let wider = outside + tail(n, cut + 1);
            if 2.0 * wider > 0.05 {
                break;
            }
            (cut, outside) = (cut + 1, wider);
        }
        let confidence = 1.0 - 2.0 * outside;
        Some(Self { value, low: values[cut], high: values[n - 1 - cut], confidence })
    }
}

/// The probability that exactly `k` of `n` values lie below the true median.
fn tail(n: usize, k: usize) -> f64 {
    (0..k).fold(0.5_f64.powi(n as i32), |p, i| p * (n - i) as f64 / (i + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Median::of([]), None);
        assert_eq!(
            Median::of([3.0, 1.0, 2.0]).map(|m| (m.value, m.low, m.high)),
            Some((2., 1., 3.))
        );
        assert_eq!(Median::of([1.0, 2.0]).map(|m| m.value), Some(1.5));
    }

    /// The tables of the sign test.
    #[test]
    fn intervals() {
        let of = |n: u32| Median::of((1..=n).map(f64::from)).expect("values");
        for (n, low, high, confidence) in [
            (5, 1., 5., 0.9375),
            (6, 1., 6., 0.96875),
            (9, 2., 8., 0.9609375),
            (20, 6., 15., 0.9586),
        ] {
            let m = of(n);
            assert_eq!((m.low, m.high), (low, high), "{n}");
            assert!((m.confidence - confidence).abs() < 1e-4, "{n}: {}", m.confidence);
        }
    }
}
