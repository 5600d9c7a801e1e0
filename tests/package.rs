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
    for name in ["bin/zord", "libexec/zord/zord-v86", "share/man/man1/zord.1", "share/doc/zord/LICENSE-MIT"] {
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
