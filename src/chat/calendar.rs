//! Dates from seconds: for names of sessions, exports and templates that ask for today. Always UTC; reads no clock.

/// A moment taken apart, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: u64,
    /// 1 to 31.
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
    /// 0 is Sunday.
    pub(crate) weekday: u64,
    /// 1 to 366.
    pub(crate) yearday: u64,
}

/// The last second of the year 9999; what is later is taken as this.
const LAST: u64 = 253_402_300_799;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Moment {
    /// From seconds since 1970-01-01.
    pub(crate) fn from_unix(seconds: u64) -> Self {
        let seconds = seconds.min(LAST);
        let days = seconds / 86_400;
        let clock = seconds % 86_400;
        let (mut year, mut rest) = (1970, days);
        loop {
            let length = 365 + u64::from(is_leap(year));
            if rest < length {
                break;
            }
            rest -= length;
            year += 1;
        }
        let yearday = rest + 1;
        let mut month = 1;
        while rest >= days_in(year, month) {
            rest -= days_in(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: rest + 1,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            weekday: (days + 4) % 7,
            yearday,
        }
    }

    /// `2026-11-21 10:14`.
    pub(crate) fn minutes(&self) -> String {
        self.format("%Y-%m-%d %H:%M")
    }

    /// The letters of C's `strftime` that chat templates use; an unknown letter stays as it is written.
    pub(crate) fn format(&self, pattern: &str) -> String {
        let mut out = String::new();
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some('-') => match letters.next() {
                    Some(letter) => out.push_str(self.field(letter).trim_start_matches(['0', ' '])),
                    None => out.push_str("%-"),
                },
                Some(letter) => out.push_str(&self.field(letter)),
                None => out.push('%'),
            }
        }
        out
    }

    fn field(&self, letter: char) -> String {
        let month = MONTHS.get(self.month as usize - 1).copied().unwrap_or_default();
        let day = DAYS.get(self.weekday as usize).copied().unwrap_or_default();
        let hour12 = (self.hour + 11) % 12 + 1;
        match letter {
            'Y' => format!("{:04}", self.year),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'B' => month.to_owned(),
            'b' | 'h' => month.chars().take(3).collect(),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.yearday),
            'A' => day.to_owned(),
            'a' => day.chars().take(3).collect(),
            'w' => self.weekday.to_string(),
            'H' => format!("{:02}", self.hour),
            'I' => format!("{hour12:02}"),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'M' => format!("{:02}", self.minute),
            'S' => format!("{:02}", self.second),
            'F' => self.format("%Y-%m-%d"),
            'T' => self.format("%H:%M:%S"),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            '%' => "%".to_owned(),
            other => format!("%{other}"),
        }
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
            (u64::MAX, "9999-12-31 23:59:59 Friday 365 11 PM"),
        ];
        for (seconds, expected) in table {
            assert_eq!(Moment::from_unix(seconds).format("%F %T %A %j %I %p"), expected);
        }
        let moment = Moment::from_unix(1_767_225_600);
        assert_eq!(moment.format("%-d %b %y|%e %B|%%|%q|%-"), "1 Jan 26| 1 January|%|%q|%-");
        assert_eq!(moment.format("%"), "%");
    }
}
