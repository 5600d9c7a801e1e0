//! What to give back while running, and in which order; and whether the last run was ended from outside.
//!
//! [`decide`] is pure: a reading goes in, actions come out. It takes the steps that a reading calls for at once, each of
//! which gives something back, and calms down one by one, after several readings well clear of the line. What it refuses to do: read the machine or free anything.

use crate::device::memory::Reading;

mod marker;

pub use marker::{Marker, Unclean};

const MIB: u64 = 1 << 20;

/// What has been given back so far, in the order it is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Calm,
    /// The KV cache of chat and completions, after a snapshot of the chat's.
    ChatFreed,
    /// New work is refused.
    Refusing,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the chat's KV cache to disk and free it. The completions' cells go with it: they lie in the same buffer, and
    /// emptying them alone would give nothing back to the system.
    FreeChat,
    /// Take no new work.
    RefuseWork,
    /// Take work again; what was freed comes back when it is needed.
    AllowWork,
}

/// Where the lines are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Memory is low below this many bytes of room (available, or in the cgroup); from half of it on the cache is given
    /// back, from a quarter on work is refused.
    pub low: u64,
    /// The share of time waiting for memory (percent, over 10 s) above which memory is low; from twice it on the cache is
    /// given back.
    pub pressure: f32,
    /// Readings well clear of the line before a step back.
    pub patience: u8,
    /// Bytes that the chat's cache takes when it comes back; 0 unless it is away. Where they have no room, nothing that
    /// needs it may begin: it would not fit, and the kernel would end the program.
    pub away: u64,
}

impl Thresholds {
    /// For a machine with `total` bytes (the smaller of its memory and the cgroup's limit). On a machine of 4 GiB the line is
    /// at 205 MiB: Android's low-memory killer begins near there.
    pub fn for_machine(total: u64) -> Self {
        Self { low: (total / 20).clamp(24 * MIB, 512 * MIB), pressure: 15.0, patience: 3, away: 0 }
    }
}

/// What the watch remembers between readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// What has been given back.
    pub level: Level,
    clear: u8,
}

/// Decides what a reading calls for. The new state goes into the next call.
pub fn decide(watch: Watch, reading: &Reading, thresholds: &Thresholds) -> (Watch, Vec<Action>) {
    let wanted = severity(reading, thresholds, 1.0);
    if wanted > watch.level {
        return (Watch { level: wanted, clear: 0 }, between(watch.level, wanted));
    }
    // Half as much room again, and two thirds of the pressure: a step back must not lead straight up again.
    if severity(reading, thresholds, 1.5) >= watch.level {
        return (Watch { clear: 0, ..watch }, Vec::new());
    }
    let clear = watch.clear.saturating_add(1);
    if clear < thresholds.patience {
        return (Watch { clear, ..watch }, Vec::new());
    }
    let actions = if watch.level == Level::Refusing { vec![Action::AllowWork] } else { Vec::new() };
    (Watch { level: down(watch.level), clear: 0 }, actions)
}

/// How bad it is, with every line moved outward by `margin`.
fn severity(reading: &Reading, thresholds: &Thresholds, margin: f64) -> Level {
    let available = (reading.available > 0).then_some(reading.available);
    let room = available.into_iter().chain(reading.cgroup).min();
    let short = |share: u64| room.is_some_and(|room| (room as f64) < thresholds.low as f64 * margin / share as f64);
    let stalled = reading
        .pressure
        .is_some_and(|pressure| f64::from(pressure.avg10) > f64::from(thresholds.pressure) * 2.0 / margin);
    let stays_away = thresholds.away > 0
        && room.is_some_and(|room| (room as f64) < thresholds.away as f64 + thresholds.low as f64 * margin / 2.0);
    // Pressure alone can be another program's doing: it asks for the first step, never for refusing work.
    if short(4) || stays_away {
        Level::Refusing
    } else if short(2) || stalled {
        Level::ChatFreed
    } else {
        Level::Calm
    }
}

fn down(level: Level) -> Level {
    match level {
        Level::Refusing => Level::ChatFreed,
        Level::ChatFreed | Level::Calm => Level::Calm,
    }
}

fn between(from: Level, to: Level) -> Vec<Action> {
    let steps = [(Level::ChatFreed, Action::FreeChat), (Level::Refusing, Action::RefuseWork)];
    steps.into_iter().filter(|&(level, _)| from < level && level <= to).map(|(_, action)| action).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::memory::Pressure;
    use proptest::prelude::*;

    fn thresholds() -> Thresholds {
        Thresholds { low: 400, pressure: 15.0, patience: 2, away: 0 }
    }

    fn room(available: u64) -> Reading {
        Reading { available, total: 10_000, ..Reading::default() }
    }

    /// Feeds readings and collects actions.
    fn run(readings: &[Reading]) -> (Level, Vec<Vec<Action>>) {
        let mut watch = Watch::default();
        let mut all = Vec::new();
        for reading in readings {
            let (next, actions) = decide(watch, reading, &thresholds());
            watch = next;
            all.push(actions);
        }
        (watch.level, all)
    }

    #[test]
    fn memory_is_given_back_in_the_stated_order() {
        use Action::*;
        let (level, actions) = run(&[room(500), room(390), room(190), room(90)]);
        assert_eq!(actions, [vec![], vec![], vec![FreeChat], vec![RefuseWork]]);
        assert_eq!(level, Level::Refusing);
    }

    #[test]
    fn a_serious_shortage_frees_the_cache_at_the_first_reading() {
        let (_, actions) = run(&[room(190), room(190), room(190)]);
        assert_eq!(actions, [vec![Action::FreeChat], vec![], vec![]]);
    }

    #[test]
    fn a_critical_shortage_takes_all_steps_at_once() {
        let (_, actions) = run(&[room(50)]);
        assert_eq!(actions, [vec![Action::FreeChat, Action::RefuseWork]]);
    }

    #[test]
    fn it_calms_down_late_and_step_by_step() {
        let (level, actions) = run(&[room(50), room(120), room(160), room(160)]);
        assert_eq!(actions[1..], [vec![], vec![], vec![Action::AllowWork]]);
        assert_eq!(level, Level::ChatFreed);
        let clear = [room(50), room(5000), room(5000), room(5000), room(5000), room(5000), room(5000)];
        assert_eq!(run(&clear).0, Level::Calm);
    }

    #[test]
    fn around_the_line_nothing_flutters() {
        let readings: Vec<_> = (0..40).map(|n| room(if n % 2 == 0 { 190 } else { 210 })).collect();
        assert_eq!(run(&readings).1.concat(), [Action::FreeChat]);
    }

    #[test]
    fn the_cgroup_counts_and_pressure_never_refuses_work() {
        let cgroup = Reading { cgroup: Some(90), ..room(9000) };
        assert_eq!(run(&[cgroup]).0, Level::Refusing);
        let stalled = Reading { pressure: Some(Pressure { avg10: 95.0, avg60: 50.0 }), ..room(9000) };
        assert_eq!(run(&[stalled; 5]).0, Level::ChatFreed);
    }

    #[test]
    fn work_is_refused_while_what_was_freed_would_not_fit_again() {
        let freed = Watch { level: Level::ChatFreed, clear: 0 };
        let away = Thresholds { away: 300, ..thresholds() };
        let (watch, actions) = decide(freed, &room(450), &away);
        assert_eq!((watch.level, actions), (Level::Refusing, vec![Action::RefuseWork]));
        let (watch, _) = decide(watch, &room(550), &away);
        assert_eq!(watch.level, Level::Refusing, "not well clear yet");
        let (watch, _) = decide(watch, &room(700), &away);
        let (watch, actions) = decide(watch, &room(700), &away);
        assert_eq!((watch.level, actions), (Level::ChatFreed, vec![Action::AllowWork]));
        assert_eq!(decide(freed, &room(450), &thresholds()).1, [], "where it is not away, it need not come back");
    }

    #[test]
    fn a_machine_that_tells_nothing_is_calm() {
        assert_eq!(run(&[Reading::default(); 3]).0, Level::Calm);
    }

    proptest! {
        /// Whatever is read, actions come in order, and work is only allowed again after it was refused.
        #[test]
        fn actions_are_ordered(rooms in proptest::collection::vec(1u64..1000, 1..60)) {
            let readings: Vec<_> = rooms.into_iter().map(room).collect();
            let mut refused = false;
            for actions in run(&readings).1 {
                for action in &actions {
                    match action {
                        Action::RefuseWork => { prop_assert!(!refused); refused = true; }
                        Action::AllowWork => { prop_assert!(refused); refused = false; }
                        Action::FreeChat => prop_assert!(!refused),
                    }
                }
            }
        }
    }
}
