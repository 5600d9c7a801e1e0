//! `scripts/package-termux.sh` with builds that are shell scripts: what the package holds, and that it is the same each
//! time. The real builds go through it in `scripts/test-arm64.sh`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

mod phone;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use phone::{PROGRAM, Phone, script};

/// Packs scripts as builds; gives the folder with the results.
fn pack(folder: &Path) -> Option<PathBuf> {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: `python3` is not installed");
        return None;
    }
    let tools = folder.join("tools");
    script(&tools.join("qemu-aarch64"), "#!/bin/sh\nexec \"$@\"\n");
    let builds = folder.join("builds");
    for name in ["zord", "zord-v80", "zord-v82", "zord-v86"] {
        script(&builds.join(name), &PROGRAM.replace("VERSION", name));
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package-termux.sh");
    let output = Command::new("bash").arg(script).env("PATH", path).env("ZORD_BUILDS", &builds).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(builds.join("package"))
}

fn deb() -> String {
    format!("zord_{}_aarch64.deb", env!("CARGO_PKG_VERSION"))
}

fn dpkg(args: &[&str], file: &Path) -> Option<String> {
    let Ok(output) = Command::new("dpkg-deb").args(args).arg(file).output() else {
        eprintln!("SKIPPED: `dpkg-deb` is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn dpkg_reads_the_package() {
    let folder = tempfile::tempdir().unwrap();
    let Some(package) = pack(folder.path()) else { return };
    let file = package.join(deb());
    let Some(about) = dpkg(&["-I"], &file) else { return };
    for line in ["Package: zord", "Architecture: aarch64", "Depends: resolv-conf", "postinst"] {
        assert!(about.contains(line), "{about}");
    }
    let version = format!("Version: {}", env!("CARGO_PKG_VERSION"));
    assert!(about.contains(&version) && !about.contains('@'), "{about}");
    let list = dpkg(&["-c"], &file).unwrap();
    let names: Vec<&str> = list.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    let prefix = "./data/data/com.termux/files/usr";
    for name in [
        "bin/zord",
        "libexec/zord/zord-v86",
        "share/man/man1/zord.1",
        "share/doc/zord/LICENSE-MIT",
        "share/doc/zord/THIRD-PARTY",
    ] {
        assert!(names.contains(&format!("{prefix}/{name}").as_str()), "{name} is not in {list}");
    }
    assert!(names.iter().all(|name| format!("{prefix}/").starts_with(name) || name.starts_with(prefix)), "{list}");
    assert!(list.lines().all(|line| line.contains("root/root") || line.contains("0/0")), "{list}");
    let program = list.lines().find(|line| line.ends_with("usr/bin/zord")).unwrap();
    assert!(program.starts_with("-rwxr-xr-x"), "{program}");
    let output = Command::new("dpkg-deb").arg("-I").arg(&file).arg("postinst").output().unwrap();
    let postinst = String::from_utf8(output.stdout).unwrap();
    assert!(postinst.starts_with("#!/data/data/com.termux/files/usr/bin/sh\n"), "{postinst}");
    let own = folder.path().join("postinst");
    fs::write(&own, &postinst).unwrap();
    let said = Command::new("sh").arg(&own).arg("configure").output().unwrap();
    assert!(said.status.success());
    assert!(String::from_utf8_lossy(&said.stdout).contains("`zord models pull` gets the model"), "{postinst}");
}

/// The packages that the program on a phone is linked from, as cargo tells them.
fn linked() -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--locked", "--offline", "--no-default-features"]);
    cargo.args(["--features", "engine,launcher", "--target", "aarch64-unknown-linux-musl", "--prefix", "none"]);
    let output = cargo.args(["--edges", "normal,no-proc-macro", "--format", "{p}"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let packages = tree.lines().filter_map(|line| line.split_once(" v"));
    let mut names: Vec<String> =
        packages.map(|(name, rest)| format!("{name} {}", rest.split(' ').next().unwrap())).collect();
    names.retain(|name| !name.starts_with("zord "));
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_package_names_everything_that_is_built_in_with_its_licence() {
    let folder = tempfile::tempdir().unwrap();
    let Some(package) = pack(folder.path()) else { return };
    let notices = fs::read_to_string(package.join("tree/share/doc/zord/THIRD-PARTY")).unwrap();
    let linked = linked();
    assert!(linked.len() > 100, "{linked:?}");
    let lines: Vec<&str> = notices.lines().collect();
    for name in &linked {
        let at = lines.iter().position(|line| line == name).unwrap_or_else(|| panic!("{name} is not named"));
        assert!(lines[at + 1].starts_with("    licence: ") && lines[at + 1].len() > 13, "{name}: {}", lines[at + 1]);
    }
    let said = |text: &str| notices.contains(text);
    // of llama.cpp inside its package, of a crate, of a grammar, and of what no package names
    for text in ["The ggml authors", "Permission is hereby granted", "Apache License", "musl", "Sublime"] {
        assert!(said(text), "{text}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("burn-")), "training is not in it");
    assert!(!said(env!("CARGO_MANIFEST_DIR")) && !said(&std::env::var("HOME").unwrap()), "paths of this machine");
    let list = notices.split_once("-------- text 1 --------").unwrap().0;
    let numbers = list.lines().filter_map(|line| line.strip_prefix("    texts:   ")).flat_map(|line| line.split(", "));
    let last: usize = numbers.map(|number| number.parse().unwrap()).max().unwrap();
    assert!(said(&format!("-------- text {last} --------")) && !said(&format!("-------- text {} --------", last + 1)));
}

#[test]
fn the_same_builds_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let Some(package) = pack(folder.path()) else { return };
    let names = [deb(), "zord-termux-aarch64.tar.gz".to_owned()];
    let read = |package: &Path| names.clone().map(|name| fs::read(package.join(name)).unwrap());
    let first = read(&package);
    let other = tempfile::tempdir().unwrap();
    assert!(first == read(&pack(other.path()).unwrap()), "folder and time must not matter");
}

#[test]
fn the_installer_takes_the_archive() {
    let phone = Phone::new();
    let Some(package) = pack(phone.root.path()) else { return };
    let file = package.join("zord-termux-aarch64.tar.gz");
    phone.run(&["--archive", file.to_str().unwrap()]).good();
    assert_eq!(phone.version(), "zord zord");
    assert!(phone.prefix().join("libexec/zord/zord-v82").is_file());
    assert!(phone.prefix().join("share/fish/vendor_completions.d/zord.fish").is_file());
}
