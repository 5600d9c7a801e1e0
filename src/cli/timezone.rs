//! The time zone that the person's clock shows.
//!
//! A static program on a phone finds no `/etc/localtime`: Android keeps the zone's name in a property, and all zones in
//! one file, which jiff reads.

use std::process::{Command, Stdio};

use jiff::tz::TimeZone;

/// Android's program that tells a property; elsewhere there is none.
const GETPROP: &str = "/system/bin/getprop";

/// By `TZ`, else by what the system is set to; UTC where nobody says.
pub(super) fn here() -> TimeZone {
    TimeZone::try_system().ok().or_else(|| told_by(GETPROP)).unwrap_or(TimeZone::UTC)
}

fn told_by(getprop: &str) -> Option<TimeZone> {
    let mut command = Command::new(getprop);
    command.arg("persist.sys.timezone").stdin(Stdio::null()).stderr(Stdio::null());
    named(&String::from_utf8(command.output().ok()?.stdout).ok()?)
}

fn named(name: &str) -> Option<TimeZone> {
    TimeZone::get(name.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_names_the_zone() {
        assert_eq!(named("UTC\n").unwrap().iana_name(), Some("UTC"));
        assert!(named("\n").is_none() && named("Nowhere/At_All").is_none());
        assert!(told_by("/nowhere/at/all").is_none());
    }
}
