//! Where the electricity comes from, as far as `/sys/class/power_supply` tells; Android hides it from apps.

use std::path::Path;

use crate::fim::pace::Power;

use super::{Env, heat};

/// Charge and charger. Where nothing can be read: a phone is taken to run on its battery, anything else on mains.
pub fn power() -> Power {
    power_at(Path::new("/"), &|name| std::env::var(name).ok())
}

/// The same below another root, with another environment.
pub fn power_at(root: &Path, env: Env<'_>) -> Power {
    let supplies = std::fs::read_dir(root.join("sys/class/power_supply"));
    let (mut mains, mut battery, mut charging) = (false, None, false);
    let mut hot = heat::is_hot(root);
    for supply in supplies.into_iter().flatten().flatten().take(16) {
        let read = |name: &str| {
            let text = super::read(&supply.path().join(name))?;
            Some(text.trim().to_owned())
        };
        match read("type").as_deref() {
            Some("Battery") => {
                battery = battery.or(read("capacity").and_then(|percent| percent.parse().ok()));
                // in tenths of a degree
                let degrees = read("temp").and_then(|temp| temp.parse::<f64>().ok()).map(|tenths| tenths / 10.0);
                hot |= degrees.is_some_and(heat::is_hot_battery);
                charging |= matches!(read("status").as_deref(), Some("Charging" | "Full" | "Not charging"));
            }
            Some(_) => mains |= read("online").as_deref() == Some("1"),
            None => {}
        }
    }
    let phone = super::Termux::read(root, env).is_some();
    let unknown = battery.is_none() && !mains;
    Power { mains: mains || charging || (unknown && !phone), battery, hot }
}

/// What `termux-battery-status` says, added to what is known; an answer that is none changes nothing.
pub fn power_said(known: Power, answer: &str) -> Power {
    #[derive(serde::Deserialize)]
    struct Said {
        percentage: u8,
        #[serde(default)]
        plugged: String,
        #[serde(default)]
        temperature: f64,
    }
    let Ok(said) = serde_json::from_str::<Said>(answer) else { return known };
    Power {
        mains: said.plugged.starts_with("PLUGGED"),
        battery: Some(said.percentage.min(100)),
        hot: known.hot || heat::is_hot_battery(said.temperature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(supplies: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, files) in supplies {
            let folder = root.path().join("sys/class/power_supply").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, text) in *files {
                std::fs::write(folder.join(file), format!("{text}\n")).unwrap();
            }
        }
        root
    }

    #[test]
    fn batteries_and_chargers_are_told_apart() {
        let none = |_: &str| None;
        let termux = |name: &str| (name == "TERMUX_VERSION").then(|| "0.118".to_owned());
        let at = |root: &tempfile::TempDir| power_at(root.path(), &none);
        let empty = machine(&[]);
        assert_eq!(at(&empty), Power { mains: true, battery: None, hot: false });
        assert!(!power_at(empty.path(), &termux).mains);
        let off = machine(&[
            ("BAT0", &[("type", "Battery"), ("capacity", "41"), ("status", "Discharging")]),
            ("AC", &[("type", "Mains"), ("online", "0")]),
        ]);
        assert_eq!(at(&off), Power { mains: false, battery: Some(41), hot: false });
        let on = machine(&[("battery", &[("type", "Battery"), ("capacity", "90"), ("status", "Charging")])]);
        assert_eq!(power_at(on.path(), &termux), Power { mains: true, battery: Some(90), hot: false });
        let odd = machine(&[("x", &[("type", "Battery"), ("capacity", "lots"), ("status", "?")]), ("y", &[])]);
        assert_eq!(at(&odd).battery, None);
    }

    #[test]
    fn a_battery_too_warm_is_hot() {
        let none = |_: &str| None;
        let at = |temp: &str| power_at(machine(&[("battery", &[("type", "Battery"), ("temp", temp)])]).path(), &none);
        assert!(at("451").hot && !at("310").hot && !at("?").hot);
    }

    #[test]
    fn what_termux_says_of_the_battery_is_understood() {
        let known = Power { mains: false, battery: None, hot: false };
        let cool =
            r#"{"health": "GOOD", "percentage": 62, "plugged": "UNPLUGGED", "temperature": 31.4, "current": -1}"#;
        assert_eq!(power_said(known, cool), Power { mains: false, battery: Some(62), hot: false });
        let warm = r#"{"percentage": 90, "plugged": "PLUGGED_USB", "temperature": 45.5}"#;
        assert_eq!(power_said(known, warm), Power { mains: true, battery: Some(90), hot: true });
        for nonsense in ["", "{}", "[]", r#"{"percentage": "lots"}"#, "Termux:API is not yet available"] {
            assert_eq!(power_said(known, nonsense), known);
        }
    }
}
