//! The waits between attempts.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(15);
/// The longest wait that a dependency or a job can ask for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// A postponed run is tried again at least this often, so that it starts soon after its dependency is back.
const LONGEST_POSTPONEMENT: Duration = Duration::from_mins(5);

/// The wait after the failure with this number, from 1: 2 s, doubled with each failure up to 15 min.
pub(crate) fn after_failure(number: i32) -> Duration {
    jittered(doubled(number).min(LONGEST))
}

/// The wait after the postponement with this number, from 1; at least `wait`, which the dependency may have asked for.
pub(crate) fn after_postponement(number: i32, wait: Duration) -> Duration {
    let wait = wait.min(LONGEST_WAIT);
    let growing = doubled(number).min(LONGEST_POSTPONEMENT);
    wait + jittered(growing.max(wait.min(LONGEST_POSTPONEMENT)))
}

fn doubled(number: i32) -> Duration {
    let exponent = number.saturating_sub(1).clamp(0, 20).unsigned_abs();
    FIRST.saturating_mul(1 << exponent)
}

/// Between half of the time and all of it: runs that failed together do not return together, and none returns
/// immediately.
pub(crate) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_two_seconds_to_fifteen_minutes() {
        for (number, longest) in [(1, 2), (2, 4), (5, 32), (10, 900), (i32::MAX, 900)] {
            let wait = after_failure(number);
            let longest = Duration::from_secs(longest);
            assert!(wait >= longest / 2 && wait <= longest, "{number}: {wait:?}");
        }
    }

    #[test]
    fn a_postponement_lasts_at_least_as_long_as_asked() {
        for number in [1, 3, 30] {
            for asked in [0, 5, 3_600] {
                let asked = Duration::from_secs(asked);
                let wait = after_postponement(number, asked);
                assert!(wait > asked && wait <= asked + LONGEST_POSTPONEMENT, "{wait:?}");
            }
        }
    }
}
