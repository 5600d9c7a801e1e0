use proptest::prelude::*;

use super::*;

const COOL: Power = Power { mains: false, battery: Some(80), hot: false };
const HOT: Power = Power { hot: true, ..COOL };
const SECOND: u64 = 1000;
/// Between two looks while something is written.
const LOOK: u64 = 10 * SECOND;

fn battery(percent: u8, mains: bool) -> Effort {
    Easing::default().after(&Power { mains, battery: Some(percent), hot: false }, 0).effort()
}

/// A phone whose skin follows what its processors take in, with a time constant of three minutes.
struct Phone {
    skin: f64,
    /// Kelvin above the room that one busy thread leads to in the end.
    per_thread: f64,
}

impl Phone {
    fn second(&mut self, threads: u32) {
        let end = 25.0 + self.per_thread * f64::from(threads);
        self.skin += (end - self.skin) / 180.0;
    }

    fn power(&self) -> Power {
        Power { hot: self.skin >= 43.0, ..COOL }
    }
}

/// Works for so many seconds; gives the threads of each second and the highest temperature.
fn work(phone: &mut Phone, easing: &mut Easing, from: u64, seconds: u64) -> (Vec<u32>, f64) {
    let mut highest = phone.skin;
    let threads = (from..from + seconds).map(|second| {
        if (second * SECOND).is_multiple_of(LOOK) {
            *easing = easing.after(&phone.power(), second * SECOND);
        }
        let threads = easing.effort().threads(4);
        phone.second(threads);
        highest = highest.max(phone.skin);
        threads
    });
    (threads.collect(), highest)
}

#[test]
fn threads_are_left_out_and_one_stays() {
    let of = |effort: Effort| [1, 2, 3, 4, 6, 8].map(|planned| effort.threads(planned));
    assert_eq!(of(Effort::Full), [1, 2, 3, 4, 6, 8]);
    assert_eq!(of(Effort::Eased), [1, 1, 2, 3, 4, 6]);
    assert_eq!(of(Effort::Least), [1, 1, 1, 2, 3, 4]);
}

#[test]
fn an_hour_of_writing_settles_below_the_heat_and_above_the_least() {
    let (mut phone, mut easing) = (Phone { skin: 25.0, per_thread: 6.5 }, Easing::default());
    let (threads, highest) = work(&mut phone, &mut easing, 0, 3600);
    assert_eq!(threads[..100], [4; 100], "a cool phone works with all of them");
    assert!(highest < 44.5, "all four threads would lead to 51 degrees, this led to {highest}");
    let steps = threads.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((2..30).contains(&steps), "{steps} changes in an hour");
    let last = &threads[1800..];
    let mean = f64::from(last.iter().sum::<u32>()) / last.len() as f64;
    assert!((2.0..4.0).contains(&mean), "{mean} threads in the second half");
    let (threads, _) = work(&mut Phone { skin: 25.0, per_thread: 0.0 }, &mut easing, 3600, 2400);
    assert_eq!(threads.last(), Some(&4), "all threads come back when it is cool");
    assert_eq!(easing.after(&COOL, 1_000_000 * SECOND), Easing { stepped: easing.stepped, ..Easing::default() });
}

#[test]
fn a_phone_that_stays_cool_is_left_alone() {
    let (threads, _) = work(&mut Phone { skin: 25.0, per_thread: 4.0 }, &mut Easing::default(), 0, 3600);
    assert!(threads.iter().all(|&threads| threads == 4));
}

#[test]
fn the_second_step_waits_for_the_first_one_to_show() {
    let first = Easing::default().after(&HOT, 0);
    assert_eq!(first.effort(), Effort::Eased);
    assert!(first.is_hot());
    assert_eq!(first.after(&HOT, STEP - 1).effort(), Effort::Eased);
    assert_eq!(first.after(&HOT, STEP).effort(), Effort::Least);
}

#[test]
fn a_step_up_that_led_back_to_heat_makes_the_next_one_wait() {
    let hot = Easing::default().after(&HOT, 1);
    let up = hot.after(&COOL, 1 + PATIENCE);
    assert_eq!(up.effort(), Effort::Full);
    let again = up.after(&HOT, 2 + PATIENCE);
    assert_eq!(again.effort(), Effort::Eased);
    assert_eq!(again.after(&COOL, 2 + 2 * PATIENCE).effort(), Effort::Eased);
    assert_eq!(again.after(&COOL, 2 + 3 * PATIENCE).effort(), Effort::Full);
}

#[test]
fn a_pause_without_looks_counts_as_rest() {
    let least = Easing::default().after(&HOT, 0).after(&HOT, STEP);
    assert_eq!(least.effort(), Effort::Least);
    assert_eq!(least.after(&COOL, STEP + 10 * PATIENCE).effort(), Effort::Full);
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    let hot = Easing::default().after(&HOT, 1_000_000 * SECOND);
    assert_eq!(hot.effort(), Effort::Eased);
    let set_back = hot.after(&COOL, SECOND);
    assert_eq!(set_back.after(&COOL, SECOND + PATIENCE).effort(), Effort::Full);
}

#[test]
fn a_low_battery_asks_for_less_unless_it_charges() {
    assert_eq!(
        [100, 20, 19, 10, 9, 0].map(|percent| battery(percent, false)),
        [Effort::Full, Effort::Full, Effort::Eased, Effort::Eased, Effort::Least, Effort::Least,]
    );
    assert_eq!(battery(1, true), Effort::Full);
    let low = Easing::default().after(&Power { battery: Some(15), ..COOL }, 0);
    assert!(!low.is_hot());
    assert_eq!(low.after(&Power { mains: true, ..COOL }, 1).effort(), Effort::Full);
    assert_eq!(Easing::default().after(&Power::default(), 0).effort(), Effort::Full, "a workstation");
}

proptest! {
    #[test]
    fn whatever_the_sensors_say_steps_are_single_and_heat_never_asks_for_more(
        readings in prop::collection::vec((any::<bool>(), 0..LOOK * 3), 0..300),
    ) {
        let (mut easing, mut now) = (Easing::default(), 0);
        for (hot, pause) in readings {
            now += pause;
            let next = easing.after(&Power { hot, ..COOL }, now);
            let (before, after) = (easing.effort() as i32, next.effort() as i32);
            prop_assert!((before - after).abs() <= 1);
            prop_assert!((hot && after <= before) || (!hot && after >= before));
            prop_assert!(next.patience <= LONGEST);
            easing = next;
        }
    }
}
