//! Heat and a low battery.

use super::*;
use crate::fim::pace::Power;

const COOL: Power = Power { mains: false, battery: Some(80), hot: false };
const HOT: Power = Power { hot: true, ..COOL };

/// With a model planned for four threads.
pub(crate) fn on_four_threads(size: (u16, u16)) -> App {
    let mut app = fresh(size);
    app.update(Msg::Now(1_700_000_000_000));
    app.update(Msg::Engine(Event::Loaded(four())));
    app
}

fn four() -> Box<Facts> {
    let plan = crate::budget::Plan { threads: 4, ..facts().plan.unwrap() };
    Box::new(Facts { plan: Some(plan), ..facts() })
}

fn after(app: &mut App, seconds: u64, power: Power) -> Vec<Effect> {
    app.update(Msg::Now(app.clock + seconds * 1000));
    app.update(Msg::Power(power))
}

fn told(app: &App) -> usize {
    app.notices.iter().filter(|notice| notice.text.contains("the device is hot")).count()
}

#[test]
fn a_hot_device_works_with_fewer_threads_and_says_so_once() {
    let mut app = on_four_threads((80, 24));
    assert_eq!(after(&mut app, 10, COOL), []);
    assert_eq!(after(&mut app, 10, HOT), [Effect::Threads(3)]);
    assert_eq!((app.ease.threads(4), app.ease.reason()), (Some((3, 4)), "hot"));
    assert_eq!(told(&app), 1);
    assert_eq!(after(&mut app, 10, HOT), []);
    assert_eq!(after(&mut app, 30, HOT), [Effect::Threads(2)]);
    assert_eq!(told(&app), 1);
    assert!(app.update(Msg::Engine(Event::Loaded(four()))).contains(&Effect::Threads(2)), "another engine");
    assert_eq!(after(&mut app, 600, COOL), [Effect::Threads(4)]);
    assert_eq!(app.ease.threads(4), None);
    assert!(!app.update(Msg::Engine(Event::Loaded(four()))).iter().any(|effect| matches!(effect, Effect::Threads(_))));
}

#[test]
fn nothing_is_prepared_ahead_while_it_is_hot() {
    let mut app = on_four_threads((80, 24));
    after(&mut app, 10, HOT);
    assert!(app.editor.suggest.power.hot);
    assert!(!app.editor.suggest.pace.prefetch(&app.editor.suggest.power));
}

#[test]
fn a_server_is_not_slowed_down() {
    let mut app = fresh((80, 24));
    app.update(Msg::Engine(Event::Loaded(Box::new(Facts { plan: None, ..facts() }))));
    assert_eq!(after(&mut app, 10, HOT), []);
    assert_eq!(told(&app), 0);
}

#[test]
fn the_plan_tells_what_lasts() {
    let mut app = on_four_threads((80, 24));
    say(&mut app, "write");
    for second in 0..300 {
        app.update(Msg::Now(app.clock + if second < 100 { 100 } else { 1000 }));
        for _ in 0..if second < 100 { 1 } else { 4 } {
            piece(&mut app, "word ");
        }
    }
    for _ in 0..600 {
        app.update(Msg::Now(app.clock + 100));
        piece(&mut app, "word ");
    }
    done(&mut app, Stop::End);
    say(&mut app, "/plan");
    let Some(Overlay::Page(page)) = &app.overlay else { panic!("no page") };
    assert!(page.markdown.contains("in the first minute and 10.0 in the last, of 4 minutes"), "{}", page.markdown);
}
