//! Dates from seconds: for names of sessions, lists, exports, and templates that ask for today. Reads no clock.

use jiff::fmt::strtime::{BrokenDownTime, Config};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// A longer pattern is no date, and padding would make much more of it.
const LONGEST: usize = 256;

/// A moment as a clock and a calendar show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment(ZonedDateTime);

impl Moment {
    /// From seconds since 1970-01-01, UTC. What is later than the year 9999 is taken as its end.
    pub(crate) fn utc(seconds: u64) -> Self {
        Self::at(seconds, TimeZone::UTC)
    }

    /// From seconds since 1970-01-01, as clocks of a time zone show it.
    pub(crate) fn at(seconds: u64, zone: TimeZone) -> Self {
        let stamp = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Self(stamp.unwrap_or(Timestamp::MAX).to_zoned_datetime(zone))
    }

    /// `2026-11-21 10:14`.
    pub(crate) fn minutes(&self) -> String {
        self.format("%Y-%m-%d %H:%M")
    }

    /// By the letters of C's `strftime`; an unknown letter stays as it is written.
    pub(crate) fn format(&self, pattern: &str) -> String {
        let pattern = &pattern[..pattern.floor_char_boundary(LONGEST)];
        let written = BrokenDownTime::from(&self.0).to_string_with_config(&Config::new().lenient(true), pattern);
        written.unwrap_or_else(|_| pattern.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // Made with Python's `datetime.fromtimestamp(…, UTC)`.
        let table = [
            (0, "1970-01-01 00:00:00 Thursday 001 12 AM"),
            (951_782_399, "2000-02-28 23:59:59 Monday 059 11 PM"),
            (951_782_400, "2000-02-29 00:00:00 Tuesday 060 12 AM"),
            (1_767_225_599, "2025-12-31 23:59:59 Wednesday 365 11 PM"),
            (1_795_256_045, "2026-11-21 10:14:05 Saturday 325 10 AM"),
            (4_107_542_400, "2100-03-01 00:00:00 Monday 060 12 AM"),
        ];
        for (seconds, expected) in table {
            assert_eq!(Moment::utc(seconds).format("%F %T %A %j %I %p"), expected);
        }
        assert!(Moment::utc(u64::MAX).format("%F").starts_with("9999-12-"));
    }

    #[test]
    fn patterns_are_those_of_c_and_nothing_else_is_lost() {
        let moment = Moment::utc(1_767_225_600);
        assert_eq!(moment.format("%-d %b %y|%e %B|%%|%Z %z"), "1 Jan 26| 1 January|%|UTC +0000");
        assert_eq!(moment.format("%Y %! %"), "2026 %! %");
        assert!(moment.format(&"%255d".repeat(10_000)).len() < 64 << 10);
    }

    #[test]
    fn a_time_zone_moves_the_clock() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(Moment::at(1_767_225_599, zone.clone()).minutes(), "2026-01-01 00:59");
        assert_eq!(Moment::at(1_751_328_000, zone).minutes(), "2025-07-01 02:00");
    }
}
