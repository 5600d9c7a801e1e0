//! `termux/install.sh` on a phone made of folders: every way through it, and every way it can go wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

mod phone;

use std::fs;
use std::process::Command;

use phone::{PROGRAM, Phone, archive, script};

#[test]
fn an_archive_is_installed_without_a_network_and_taken_away_again() {
    let phone = Phone::new();
    let before = phone.state();
    let said = phone.run(&archive(&phone.release("1"))).good();
    assert_eq!(phone.version(), "zord 1");
    assert!(said.contains("battery optimisation") && said.contains("phantom"), "{said}");
    assert!(said.contains("get a model later by `zord models pull`"), "nobody could be asked: {said}");
    assert_eq!(phone.log(), "", "nothing was missing, so nothing was fetched");
    for file in ["libexec/zord/zord-v80", "share/man/man1/zord.1", "share/bash-completion/completions/zord"] {
        assert!(phone.prefix().join(file).is_file(), "{file}");
    }
    assert!(!phone.home().join(".termux").exists(), "keys want consent");
    phone.run(&["--uninstall"]).good();
    assert_eq!(phone.state(), before);
    phone.run(&["--uninstall"]).refused(&["was not installed by this script"]);
}

#[test]
fn a_release_is_downloaded_and_checked() {
    let phone = Phone::new().with("ZORD_RELEASES", "https://releases.example");
    phone.publish("2");
    phone.run(&[]).good();
    assert_eq!(phone.version(), "zord 2");
    let nowhere = Phone::new();
    nowhere.run(&[]).refused(&["not known where releases are", "ZORD_RELEASES"]);
}

#[test]
fn a_second_run_brings_it_up_to_date_and_clears_what_is_gone() {
    let phone = Phone::new();
    phone.run(&archive(&phone.release_with("1", &[("share/zord/old", "old")]))).good();
    assert!(phone.prefix().join("share/zord/old").is_file());
    phone.run(&archive(&phone.release("2"))).good();
    assert_eq!(phone.version(), "zord 2");
    assert!(!phone.prefix().join("share/zord/old").exists());
    let once = phone.state();
    phone.run(&archive(&phone.release("2"))).good();
    assert_eq!(phone.state(), once);
}

#[test]
fn an_interrupted_upgrade_leaves_the_old_version_running() {
    let phone = Phone::new();
    phone.run(&archive(&phone.release("1"))).good();
    // The new program is started once before anything moves; this one ends the installer there, as a killed terminal
    // does.
    let deadly = r#"#!/bin/sh
at=$PPID
while tr '\0' ' ' </proc/$at/cmdline | grep -q 'install\.sh'; do
  doomed="$doomed $at"
  at=$(cut -d ' ' -f 4 /proc/$at/stat)
done
kill -9 $doomed
"#;
    let broken = phone.release_with("2", &[("bin/zord", deadly)]);
    let ran = phone.run(&archive(&broken));
    assert_ne!(ran.code, Some(0), "{}", ran.said);
    assert!(!ran.said.contains("error: "), "it was killed and did not end by itself: {}", ran.said);
    assert!(phone.prefix().join("libexec/.zord-new").exists(), "what the killed one left");
    assert_eq!(phone.version(), "zord 1");
    phone.run(&archive(&phone.release("2"))).good();
    assert_eq!(phone.version(), "zord 2");
    assert!(!phone.prefix().join("libexec/.zord-new").exists());
}

#[test]
fn half_moved_files_are_still_a_program() {
    let phone = Phone::new();
    phone.run(&archive(&phone.release("1"))).good();
    // Moving the third file fails.
    let real = "#!/bin/sh\ncase \"$2 $3\" in */share/man/*) exit 1 ;; esac\nexec /bin/mv \"$@\"\n";
    phone.tool("mv", real);
    phone.run(&archive(&phone.release("2"))).refused(&["cannot write", "still runs"]);
    assert_eq!(phone.version(), "zord 1");
    fs::remove_file(phone.tools().join("mv")).unwrap();
    phone.run(&archive(&phone.release("2"))).good();
    assert_eq!(phone.version(), "zord 2");
    phone.run(&["--uninstall"]).good();
    assert_eq!(phone.state().len(), 1, "only resolv.conf is left");
}

#[test]
fn only_what_the_list_names_is_installed_and_only_where_it_belongs() {
    let phone = Phone::new();
    fs::write(phone.prefix().join("bin/sh"), "the shell").unwrap();
    let before = phone.state();
    for place in ["bin/sh", "bin/zord2", "etc/profile", "share/other/x", "lib/libc.so", "share/man/man1/ls.1", "x"] {
        phone.run(&archive(&phone.release_with("2", &[(place, "text")]))).refused(&["would install", place]);
        assert_eq!(phone.state(), before, "{place}");
        // The same without a word in the list.
        let release = phone.release("2");
        let tree = phone.root.path().join("release");
        script(&tree.join("zord").join(place), "text");
        let packed = Command::new("tar").arg("-C").arg(&tree).arg("-czf").arg(&release).arg("zord").status().unwrap();
        assert!(packed.success());
        phone.sign(&release);
        phone.run(&archive(&release)).refused(&["does not name", place]);
        assert_eq!(phone.state(), before, "{place}");
    }
    // Belonging is not enough: a file that nobody vouches for.
    let release = phone.release("2");
    let tree = phone.root.path().join("release");
    script(&tree.join("zord/share/zord/extra"), "text");
    let packed = Command::new("tar").arg("-C").arg(&tree).arg("-czf").arg(&release).arg("zord").status().unwrap();
    assert!(packed.success());
    phone.sign(&release);
    phone.run(&archive(&release)).refused(&["does not name", "share/zord/extra"]);
    assert_eq!(phone.state(), before);
    phone.run(&archive(&phone.release("2"))).good();
}

#[test]
fn the_play_store_s_termux_gets_a_build_from_source() {
    let phone = Phone::new().with("TERMUX_APK_RELEASE", "GOOGLE_PLAY_STORE");
    let repository = phone.root.path().join("repository");
    let script_there = repository.join("termux/install.sh");
    script(&script_there, &fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/termux/install.sh")).unwrap());
    phone.run_script(&script_there, &[]).refused(&["Play Store", "sources are not beside this script"]);
    let built = repository.join("target/release/zord");
    script(&built, &PROGRAM.replace("VERSION", "3"));
    script(&repository.join("scripts/build-termux.sh"), &format!("echo building >&2\necho {}\n", built.display()));
    let extras = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/extras.sh");
    script(&repository.join("scripts/extras.sh"), &fs::read_to_string(extras).unwrap());
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "termux/extra-keys.properties"] {
        fs::write(repository.join(name), "text\n").unwrap();
    }
    let said = phone.run_script(&script_there, &[]).good();
    assert!(said.contains("Play Store") && said.contains("building"), "{said}");
    assert_eq!(phone.version(), "zord 3");
    assert!(phone.prefix().join("share/man/man1/zord.1").is_file());
    assert!(phone.prefix().join("share/zsh/site-functions/_zord").is_file());
    // Rust is the one thing it wants from pkg here, if this machine has none on its plain path.
    assert!(phone.log().lines().all(|line| line == "pkg install -y rust"), "{}", phone.log());
    script(&repository.join("scripts/build-termux.sh"), "exit 1\n");
    phone.run_script(&script_there, &[]).refused(&["the build failed"]);
    assert_eq!(phone.version(), "zord 3");
}

#[test]
fn what_is_missing_comes_from_pkg() {
    let phone = Phone::new();
    fs::remove_file(phone.prefix().join("etc/resolv.conf")).unwrap();
    phone.run(&archive(&phone.release("1"))).good();
    assert_eq!(phone.log(), "pkg install -y resolv-conf\n");
}

#[test]
fn the_row_of_keys_is_set_on_consent_once_and_goes_with_the_program() {
    let phone = Phone::new();
    let file = phone.home().join(".termux/termux.properties");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "bell-character = ignore\n").unwrap();
    phone.tool("termux-reload-settings", "#!/bin/sh\necho reload >>\"$HOME/log\"\n");
    let release = phone.release("1");
    let path = release.to_str().unwrap();
    phone.run(&["--archive", path, "--yes"]).good();
    assert_eq!(fs::read_to_string(&file).unwrap(), "bell-character = ignore\n", "--yes is no consent to keys");
    for _ in 0..2 {
        phone.run(&["--archive", path, "--keys", "--no-model"]).good();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches("extra-keys = [['ESC']]").count(), 1, "{text}");
        assert!(text.starts_with("bell-character = ignore\n# zord: begin\n"), "{text}");
    }
    assert_eq!(phone.log().matches("reload").count(), 1);
    phone.run(&["--uninstall"]).good();
    assert_eq!(fs::read_to_string(&file).unwrap(), "bell-character = ignore\n");
    fs::write(&file, "extra-keys = [['TAB']]\n").unwrap();
    let said = phone.run(&["--archive", path, "--keys"]).good();
    assert!(said.contains("has a row of extra keys already"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "extra-keys = [['TAB']]\n");
}

#[test]
fn a_model_is_got_by_name_or_as_fits() {
    let phone = Phone::new();
    let release = phone.release("1");
    let path = release.to_str().unwrap();
    phone.run(&["--archive", path, "--model", "tiny"]).good();
    phone.run(&["--archive", path, "--model", "best"]).good();
    phone.run(&["--archive", path, "--yes"]).good();
    assert_eq!(phone.log(), "pulled tiny\npulled \npulled small-model\n");
}

#[test]
fn other_machines_are_refused_before_anything_happens() {
    let cases = [
        ("armv7l", "arm", "32-bit"),
        ("armv8l", "arm", "32-bit"),
        ("aarch64", "arm", "32-bit"),
        ("i686", "i686", "32-bit"),
        ("x86_64", "x86_64", "no release for `x86_64`"),
    ];
    for (machine, package, words) in cases {
        let phone = Phone::new();
        phone.tool("uname", &format!("#!/bin/sh\necho {machine}\n"));
        phone.tool("dpkg", &format!("#!/bin/sh\necho {package}\n"));
        let before = phone.state();
        phone.run(&archive(&phone.release("1"))).refused(&[words]);
        assert_eq!(phone.state(), before, "{machine}");
    }
    let desktop = Phone::new().with("PREFIX", "/usr");
    desktop.run(&[]).refused(&["this is not Termux"]);
}

#[test]
fn a_full_disk_is_told_before_anything_is_unpacked() {
    let phone = Phone::new();
    phone.tool("df", "#!/bin/sh\necho head\necho '/dev/block 100 99 1 99% /data'\n");
    let before = phone.state();
    phone.run(&archive(&phone.release("1"))).refused(&["MiB are needed", "are free"]);
    assert_eq!(phone.state(), before);
}

#[test]
fn a_network_that_goes_away_changes_nothing() {
    let phone = Phone::new().with("ZORD_RELEASES", "https://releases.example");
    let before = phone.state();
    phone.run(&[]).refused(&["cannot download `https://releases.example/", "could not resolve host"]);
    phone.publish("1");
    fs::write(phone.home().join("net/broken"), "").unwrap();
    phone.run(&[]).refused(&["cannot download", "connection reset"]);
    assert_eq!(phone.state(), before);
    fs::remove_file(phone.home().join("net/broken")).unwrap();
    phone.run(&[]).good();
    assert_eq!(phone.version(), "zord 1");
}

#[test]
fn damaged_archives_are_refused() {
    let phone = Phone::new();
    phone.run(&archive(&phone.release("1"))).good();
    let before = phone.state();
    let good = fs::read(phone.release("2")).unwrap();
    let file = phone.home().join("zord-termux-aarch64.tar.gz");
    let refuse = |bytes: &[u8], signed: bool, words: &[&str]| {
        fs::write(&file, bytes).unwrap();
        if signed {
            phone.sign(&file);
        }
        phone.run(&archive(&file)).refused(words);
        assert_eq!(phone.state(), before, "{words:?}");
    };
    refuse(&good[..good.len() / 2], false, &["is damaged: its checksum is"]);
    refuse(&good[..good.len() / 2], true, &["is damaged or no .tar.gz file"]);
    refuse(b"<html>404</html>", true, &["is damaged or no .tar.gz file"]);
    // The list inside guards even where there is no checksum beside.
    let forged = phone.release_with("2", &[]);
    let tree = phone.root.path().join("release");
    fs::write(tree.join("zord/libexec/zord/zord-v80"), "something else\n").unwrap();
    let repack = |what: &str| {
        let packed = Command::new("tar").arg("-C").arg(&tree).arg("-czPf").arg(&forged).arg(what).status().unwrap();
        assert!(packed.success());
        fs::remove_file(forged.with_extension("gz.sha256")).unwrap_or_default();
        phone.run(&archive(&forged))
    };
    repack("zord").refused(&["its files do not match its list"]);
    std::os::unix::fs::symlink("/etc/passwd", tree.join("zord/share/link")).unwrap();
    repack("zord").refused(&["holds what no release of zord does", "link"]);
    fs::create_dir(tree.join("other")).unwrap();
    repack("other").refused(&["holds what no release of zord does"]);
    assert_eq!(phone.state(), before);
    phone.run(&["--archive", "/nowhere.tar.gz"]).refused(&["there is no file"]);
    phone.run(&["--archive", "zord.deb"]).refused(&["is a package", "apt install"]);
}

#[test]
fn a_program_that_does_not_start_is_not_installed() {
    let broken = "#!/bin/sh\necho 'unexpected e_type: 2' >&2\nexit 1\n";
    let phone = Phone::new();
    phone.run(&archive(&phone.release("1"))).good();
    let before = phone.state();
    let release = phone.release_with("2", &[("bin/zord", broken)]);
    phone.run(&archive(&release)).refused(&["does not start here (unexpected e_type: 2)", "--from-source"]);
    assert_eq!(phone.state(), before);
    let unknown = Phone::new().with("TERMUX_APK_RELEASE", "SOMEONE_S_OWN");
    let release = unknown.release_with("2", &[("bin/zord", broken)]);
    let before = unknown.state();
    unknown.run(&archive(&release)).refused(&["a Termux of unknown build (`SOMEONE_S_OWN`)", "--from-source"]);
    assert_eq!(unknown.state(), before);
    unknown.run(&archive(&unknown.release("2"))).good();
}

#[test]
fn a_prefix_that_cannot_be_written_is_left_alone() {
    let phone = Phone::new();
    let release = phone.release("1");
    // Root writes anywhere but below a file.
    fs::write(phone.prefix().join("libexec"), "").unwrap();
    phone.run(&archive(&release)).refused(&["cannot write into", "read-only"]);
    fs::remove_file(phone.prefix().join("libexec")).unwrap();
    fs::write(phone.prefix().join("share"), "").unwrap();
    phone.run(&archive(&release)).refused(&["cannot write into", "read-only"]);
    assert!(!phone.prefix().join("bin/zord").exists() && !phone.prefix().join("libexec/.zord-new").exists());
}

#[test]
fn an_installed_package_is_not_overwritten() {
    let phone = Phone::new();
    phone.tool("dpkg", "#!/bin/sh\n[ \"$1\" = --print-architecture ] && echo aarch64\nexit 0\n");
    phone.run(&archive(&phone.release("1"))).refused(&["installed as a package", "pkg upgrade"]);
    assert!(!phone.prefix().join("bin/zord").exists());
}

#[test]
fn wrong_use_is_told_from_failure() {
    let phone = Phone::new();
    for args in [&["--archive"][..], &["--faster"], &["--model"]] {
        let ran = phone.run(args);
        assert_eq!(ran.code, Some(2), "{}", ran.said);
        assert!(ran.said.contains("hint: install.sh"), "{}", ran.said);
    }
    assert!(phone.run(&["--help"]).good().contains("--from-source"));
}
