//! Schedules: periods, and cron patterns in a time zone.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;

/// A schedule as it is declared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schedule {
    Every(Duration),
    Cron {
        pattern: &'static str,
        zone: &'static str,
    },
}

/// A schedule that occurs.
#[derive(Clone, Debug)]
pub(crate) enum Occurrences {
    Every(TimeDelta),
    Cron(Box<Cron>, Tz),
}

impl Schedule {
    pub(crate) fn parse(self) -> anyhow::Result<Occurrences> {
        match self {
            Self::Every(period) => {
                let period = TimeDelta::from_std(period).context("the period is too long")?;
                anyhow::ensure!(
                    period >= TimeDelta::seconds(1),
                    "the period must be at least one second"
                );
                Ok(Occurrences::Every(period))
            }
            Self::Cron { pattern, zone } => {
                let cron = pattern
                    .parse()
                    .with_context(|| format!("`{pattern}` is not a cron pattern"))?;
                let zone = zone
                    .parse()
                    .map_err(|_| anyhow::anyhow!("`{zone}` is not a time zone, such as `Europe/Berlin`"))?;
                Ok(Occurrences::Cron(Box::new(cron), zone))
            }
        }
    }
}

impl Occurrences {
    /// The latest occurrence that is not after `now`; `None` if there is none after `last`. Occurrences between the two
    /// are skipped.
    pub(crate) fn latest(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = match self {
            Self::Every(period) => {
                let since = now.timestamp().rem_euclid(period.num_seconds());
                DateTime::from_timestamp(now.timestamp() - since, 0)?
            }
            Self::Cron(cron, zone) => {
                let now = now.with_timezone(zone);
                let latest = cron.find_previous_occurrence(&now, true).ok()?;
                latest.with_timezone(&Utc)
            }
        };
        (latest > last).then_some(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn occurrences(pattern: &'static str, zone: &'static str) -> Occurrences {
        Schedule::Cron { pattern, zone }.parse().expect("a schedule")
    }

    /// The occurrences seen by a worker that checks every five minutes.
    fn seen(occurrences: &Occurrences, from: &str, until: &str) -> Vec<DateTime<Utc>> {
        let (mut now, until) = (time(from), time(until));
        let (mut last, mut seen) = (now, Vec::new());
        while now <= until {
            if let Some(latest) = occurrences.latest(last, now) {
                last = latest;
                seen.push(latest);
            }
            now += TimeDelta::minutes(5);
        }
        seen
    }

    #[test]
    fn a_pattern_occurs_in_its_time_zone() {
        let night = occurrences("30 3 * * *", "Europe/Berlin");
        let summer = seen(&night, "2026-07-01T00:00:00Z", "2026-07-01T23:00:00Z");
        assert_eq!(summer, [time("2026-07-01T01:30:00Z")]);
        let winter = seen(&night, "2026-12-01T00:00:00Z", "2026-12-01T23:00:00Z");
        assert_eq!(winter, [time("2026-12-01T02:30:00Z")]);
    }

    #[test]
    fn a_time_that_daylight_saving_skips_or_repeats_occurs_once() {
        // In Berlin, 02:30 does not exist on 29 March 2026 and exists twice on 25 October.
        let night = occurrences("30 2 * * *", "Europe/Berlin");
        for day in ["2026-03-29", "2026-10-25"] {
            let (from, until) = (format!("{day}T00:00:00Z"), format!("{day}T12:00:00Z"));
            assert_eq!(seen(&night, &from, &until).len(), 1, "{day}");
        }
        let hourly = occurrences("0 * * * *", "Europe/Berlin");
        for day in ["2026-03-29", "2026-10-25"] {
            let (from, until) = (format!("{day}T00:00:00Z"), format!("{day}T05:00:00Z"));
            assert_eq!(
                seen(&hourly, &from, &until).len(),
                5,
                "{day}: each hour that passes"
            );
        }
    }

    #[test]
    fn of_several_missed_occurrences_only_the_latest_counts() {
        let every = Schedule::Every(Duration::from_mins(10))
            .parse()
            .expect("a schedule");
        let latest = every.latest(time("2026-07-01T00:00:00Z"), time("2026-07-01T05:07:00Z"));
        assert_eq!(latest, Some(time("2026-07-01T05:00:00Z")));
        assert_eq!(
            every.latest(time("2026-07-01T05:00:00Z"), time("2026-07-01T05:07:00Z")),
            None
        );
    }

    #[test]
    fn a_pattern_or_zone_that_does_not_exist_is_an_error() {
        for (pattern, zone) in [
            ("61 * * * *", "UTC"),
            ("every day", "UTC"),
            ("0 3 * * *", "Europe/Bonn"),
        ] {
            assert!(
                Schedule::Cron { pattern, zone }.parse().is_err(),
                "{pattern} {zone}"
            );
        }
        assert!(Schedule::Every(Duration::from_millis(1)).parse().is_err());
    }
}
