use super::tree::Tree;
use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn device(tree: &Tree, allowed: Option<&[usize]>) -> Device {
    Device::probe_at(tree.path(), &nothing, allowed)
}

/// Snapdragon 8 Gen 2: three A510, two A710, two A715, one X3.
fn gen2() -> Tree {
    Tree::new().cpus(&[
        (2_016_000, 325),
        (2_016_000, 325),
        (2_016_000, 325),
        (2_803_200, 808),
        (2_803_200, 808),
        (2_803_200, 828),
        (2_803_200, 828),
        (3_187_200, 1024),
    ])
}

#[test]
fn a_lone_prime_core_is_joined_by_the_big_ones() {
    let device = device(&gen2(), None);
    assert_eq!(device.threads(), 4);
    assert_eq!(device.cpus(4), [7, 5, 6, 3]);
    assert!(device.clusters.is_mixed());
    assert_eq!(device.clusters.all.last().unwrap().cpus, [0, 1, 2]);
}

#[test]
fn the_same_without_capacities() {
    let freqs = [2_016_000, 2_016_000, 2_016_000, 2_803_200, 2_803_200, 2_803_200, 2_803_200, 3_187_200];
    let device = device(&Tree::new().cpus(&freqs.map(|khz| (khz, 0))), None);
    assert_eq!((device.threads(), device.cpus(4)), (4, vec![7, 3, 4, 5]));
}

/// A name, its clusters (how many processors at how many MHz), and the processors to be used.
type Phone = (&'static str, &'static [(usize, u64)], &'static [usize]);

/// Processors by number as their makers publish them.
const PHONES: [Phone; 6] = [
    ("Snapdragon 8 Gen 2", &[(3, 2016), (4, 2803), (1, 3187)], &[7, 3, 4, 5]),
    ("Snapdragon 8 Elite", &[(6, 3533), (2, 4320)], &[6, 7, 0, 1]),
    ("Snapdragon 778G", &[(4, 1804), (3, 2208), (1, 2400)], &[7, 4, 5, 6]),
    ("Tensor G3", &[(4, 1704), (4, 2367), (1, 2914)], &[8, 4, 5, 6]),
    ("Dimensity 9300", &[(4, 2000), (3, 2850), (1, 3250)], &[7, 4, 5, 6]),
    ("Exynos 9810", &[(4, 1794), (4, 2704)], &[4, 5, 6, 7]),
];

#[test]
fn phones_of_the_last_years_use_four_threads_and_no_little_core() {
    for (name, layout, expected) in PHONES {
        let cpus: Vec<(u64, u64)> = layout.iter().flat_map(|&(count, mhz)| vec![(mhz * 1000, 0); count]).collect();
        let device = device(&Tree::new().cpus(&cpus), None);
        assert_eq!((device.threads(), device.cpus(4).as_slice()), (4, expected), "{name}");
    }
}

#[test]
fn two_fast_and_six_nearly_as_fast_give_four() {
    // Snapdragon 8 Elite: no slow processors, and not all alike.
    let device = device(&Tree::new().cpus(&[[(3_532_800, 0); 6].as_slice(), &[(4_320_000, 0); 2]].concat()), None);
    assert!(!device.clusters.is_mixed() && !device.clusters.is_uniform());
    assert_eq!((device.threads(), device.cpus(4)), (4, vec![6, 7, 0, 1]));
}

#[test]
fn four_and_four_use_the_big_ones() {
    let device = device(&Tree::new().cpus(&[[(1_804_800, 381); 4].as_slice(), &[(2_208_000, 1024); 4]].concat()), None);
    assert_eq!((device.threads(), device.cpus(4)), (4, vec![4, 5, 6, 7]));
}

#[test]
fn a_little_more_turbo_makes_no_cluster() {
    let device = device(&Tree::new().cpus(&[[(5_500_000, 0); 6].as_slice(), &[(5_700_000, 0); 2]].concat()), None);
    assert_eq!((device.threads(), device.cpus(4)), (8, vec![]));
}

#[test]
fn hardware_threads_of_one_core_count_once() {
    let mut tree = Tree::new().cpus(&[(4_500_000, 0); 8]);
    for cpu in 0..8 {
        let siblings = format!("{},{}\n", cpu % 4, cpu % 4 + 4);
        tree = tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"), &siblings);
    }
    let all = device(&tree, None);
    assert_eq!(all.threads(), 4);
    assert_eq!(all.clusters.count(), 8);
    assert!(all.cpus(4).is_empty(), "all are alike, nothing to pin to");
    // With one thread of each of two cores allowed, those are the cores.
    assert_eq!(device(&tree, Some(&[5, 6])).threads(), 2);
}

#[test]
fn offline_and_forbidden_processors_are_not_used() {
    let tree = gen2().file("sys/devices/system/cpu/online", "0-5\n");
    let offline = device(&tree, None);
    assert_eq!(offline.clusters.offline, [6, 7]);
    assert_eq!((offline.threads(), offline.cpus(3)), (3, vec![5, 3, 4]));
    let allowed = device(&gen2(), Some(&[0, 1, 2]));
    assert_eq!(allowed.threads(), 3);
    assert!(!allowed.clusters.is_mixed());
}

#[test]
fn the_control_group_limits_threads() {
    let tree = gen2()
        .file("proc/self/cgroup", "0::/user/app\n")
        .file("sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
        .file("sys/fs/cgroup/user/cpu.max", "250000 100000\n")
        .file("sys/fs/cgroup/user/app/cpu.max", "max 100000\n");
    assert_eq!(device(&tree, None).threads(), 2);
    let old = gen2()
        .file("proc/self/cgroup", "4:cpu,cpuacct:/a\n")
        .file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n")
        .file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    assert_eq!(device(&old, None).threads(), 1);
}

#[test]
fn a_machine_that_tells_nothing_still_has_a_thread() {
    let empty = Tree::new();
    assert!(device(&empty, None).threads() >= 1);
    assert_eq!(device(&empty, Some(&[3])).clusters.all[0].cpus, [3]);
}

#[test]
fn hostile_lists_end() {
    assert_eq!(clusters::numbers("0-3,8, x, 5-2, 9-").as_slice(), [0, 1, 2, 3, 8]);
    assert!(clusters::numbers("0-18446744073709551615,0-99999999").len() <= 4097);
}

#[test]
fn termux_is_recognised_with_its_commands() {
    let tree = gen2().file("data/data/com.termux/files/usr/bin/termux-wake-lock", "");
    let env = |name: &str| match name {
        "TERMUX_VERSION" => Some("0.118.1".to_owned()),
        "PREFIX" => Some("/data/data/com.termux/files/usr".to_owned()),
        "TERMUX_APK_RELEASE" => Some("GOOGLE_PLAY_STORE".to_owned()),
        "TERM" => Some("xterm-256color".to_owned()),
        _ => None,
    };
    let device = Device::probe_at(tree.path(), &env, None);
    let termux = device.termux.clone().unwrap();
    assert!(termux.wake_lock && !termux.clipboard && termux.is_play_store());
    assert_eq!(device.terminal.colours, Colours::True);
    let findings = advice(&device, &Surroundings { store: "/sdcard/zord".into(), ..Surroundings::default() });
    let of = |topic: &str| findings.iter().find(|finding| finding.topic == topic).unwrap();
    assert_eq!(of("termux").state, State::Warning);
    assert_eq!(of("store").state, State::Warning);
    assert!(of("store").hint.as_ref().unwrap().contains("home folder"));
    assert!(of("background limits").hint.is_some());
}

#[test]
fn no_colour_wins() {
    let env = |name: &str| match name {
        "TERM" => Some("xterm-256color".to_owned()),
        "COLORTERM" => Some("truecolor".to_owned()),
        "NO_COLOR" | "TMUX" | "SSH_TTY" => Some("1".to_owned()),
        _ => None,
    };
    let terminal = Terminal::read(&env);
    assert_eq!(terminal.colours, Colours::None);
    assert!(terminal.multiplexer && terminal.remote && !terminal.is_dumb());
    assert!(Terminal::read(&nothing).is_dumb());
}

#[test]
fn too_many_tuned_threads_are_noticed() {
    let device = device(&gen2(), None);
    let threads = |threads| {
        let surroundings = Surroundings { threads, ..Surroundings::default() };
        advice(&device, &surroundings).into_iter().find(|finding| finding.topic == "threads").unwrap().state
    };
    assert_eq!(threads(Some(5)), State::Good);
    assert_eq!(threads(Some(6)), State::Warning);
    assert_eq!(threads(None), State::Good);
}

#[test]
fn this_machine_is_probed() {
    let device = Device::probe();
    assert!(device.threads() >= 1 && device.clusters.count() >= device.threads() as usize);
}
