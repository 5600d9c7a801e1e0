//! Whether the device slows itself down, as far as `/sys/class/thermal` and the battery tell; Android hides much of it.

use std::path::Path;

/// What a hand still holds, in thousandths of a degree. Phones throttle by their skin before anything is damaged.
const SKIN: i64 = 43_000;
/// From here on charging stops and ageing is fast.
const BATTERY: i64 = 45_000;
/// Sensors beyond this are not looked at.
const MOST: usize = 128;

/// The skin or the battery is too warm, or the kernel holds the processors back.
pub(super) fn is_hot(root: &Path) -> bool {
    let thermal = root.join("sys/class/thermal");
    let entries = std::fs::read_dir(thermal);
    let hot = |folder: &Path| {
        let read = |name: &str| super::read(&folder.join(name));
        let number = |name: &str| read(name)?.parse::<i64>().ok();
        let kind = read("type").unwrap_or_default().to_ascii_lowercase();
        let at_least = |limit: i64| number("temp").is_some_and(|temp| temp >= limit);
        match folder.file_name().and_then(|name| name.to_str()) {
            Some(name) if name.starts_with("cooling_device") => {
                kind.contains("cpufreq") && number("cur_state").is_some_and(|state| state > 0)
            }
            Some(_) if kind.contains("skin") => at_least(SKIN),
            Some(_) if kind.contains("batt") => at_least(BATTERY),
            _ => false,
        }
    };
    entries.into_iter().flatten().flatten().take(MOST).any(|entry| hot(&entry.path()))
}

/// Whether a battery of this temperature is too warm, in degrees.
pub(super) fn is_hot_battery(degrees: f64) -> bool {
    degrees * 1e3 >= BATTERY as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::tree::Tree;

    fn zone(tree: Tree, name: &str, files: &[(&str, &str)]) -> Tree {
        files.iter().fold(tree, |tree, (file, text)| tree.file(&format!("sys/class/thermal/{name}/{file}"), text))
    }

    #[test]
    fn skin_and_battery_count_and_a_busy_processor_does_not() {
        assert!(!is_hot(Tree::new().path()));
        let cases: [(&str, &str, bool); 6] = [
            ("skin-therm", "42900\n", false),
            ("skin-therm", "43000\n", true),
            ("battery", "44000", false),
            ("Batt_therm", "46000", true),
            ("cpu-1-3-usr", "96000", false),
            ("skin-therm", "warm", false),
        ];
        for (kind, temp, hot) in cases {
            let tree = zone(Tree::new(), "thermal_zone7", &[("type", kind), ("temp", temp)]);
            assert_eq!(is_hot(tree.path()), hot, "{kind} {temp}");
        }
    }

    #[test]
    fn processors_that_are_held_back_are_hot() {
        for (kind, state, hot) in
            [("thermal-cpufreq-2", "0", false), ("thermal-cpufreq-2", "3", true), ("fan", "3", false)]
        {
            let tree = zone(Tree::new(), "cooling_device0", &[("type", kind), ("cur_state", state)]);
            assert_eq!(is_hot(tree.path()), hot, "{kind} {state}");
        }
    }
}
