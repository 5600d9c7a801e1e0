//! A phone made of folders: a prefix, a `pkg` and a `curl` that write down what they are asked, and a release whose
//! programs are shell scripts.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

/// A program of a release: it knows its version and lists a model when asked.
pub const PROGRAM: &str = r#"#!/bin/sh
case "$1 $2" in
  "--version ") echo "zord VERSION" ;;
  "models list") [ "$3" = --json ] && echo '{"stored": []}' || echo "* small-model  90 MB" ;;
  "models pull") echo "pulled $3" >>"$HOME/log" ;;
  "man "*) echo manual >"$2/zord.1" ;;
  "completions "*) echo "completions for $2" ;;
esac
"#;

/// Writes down what it is asked; `install` puts nothing anywhere.
const PKG: &str = "#!/bin/sh\necho \"pkg $*\" >>\"$HOME/log\"\n";

/// Hands out the files of the folder `net` below the home; without one, there is no network. `net/broken` ends a
/// transfer half way.
const CURL: &str = r#"#!/bin/sh
while [ $# -gt 1 ]; do
  [ "$1" = --output ] && out=$2
  shift
done
file=$HOME/net/${1##*/}
[ -f "$file" ] || { echo "curl: (6) could not resolve host" >&2; exit 6; }
if [ -e "$HOME/net/broken" ]; then
  head -c 100 "$file" >"$out"
  echo "curl: (56) connection reset" >&2
  exit 56
fi
cp "$file" "$out"
"#;

pub struct Phone {
    pub root: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

/// How a run ended, and all it said.
pub struct Ran {
    pub code: Option<i32>,
    pub said: String,
}

impl Phone {
    /// Termux of F-Droid on a 64-bit phone.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let phone = Self { root, variables: BTreeMap::new() };
        for folder in [phone.prefix().join("bin"), phone.prefix().join("etc"), phone.tools(), phone.home()] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(phone.prefix().join("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        phone.tool("pkg", PKG);
        phone.tool("curl", CURL);
        phone.tool("uname", "#!/bin/sh\necho aarch64\n");
        phone.tool("dpkg", "#!/bin/sh\n[ \"$1\" = --print-architecture ] && echo aarch64\n");
        phone.with("TERMUX_VERSION", "0.118.1").with("TERMUX_APK_RELEASE", "F_DROID")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn prefix(&self) -> PathBuf {
        self.root.path().join("data/data/com.termux/files/usr")
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("data/data/com.termux/files/home")
    }

    pub fn tools(&self) -> PathBuf {
        self.root.path().join("tools")
    }

    pub fn tool(&self, name: &str, text: &str) {
        script(&self.tools().join(name), text);
    }

    /// A release of this version as an archive with its checksum, in the home.
    pub fn release(&self, version: &str) -> PathBuf {
        self.release_with(version, &[])
    }

    pub fn release_with(&self, version: &str, more: &[(&str, &str)]) -> PathBuf {
        let tree = self.root.path().join("release");
        let _ = fs::remove_dir_all(&tree);
        let files = [
            ("bin/zord", PROGRAM.replace("VERSION", version)),
            ("libexec/zord/zord-v80", format!("build of {version}\n")),
            ("share/man/man1/zord.1", "manual\n".to_owned()),
            ("share/bash-completion/completions/zord", "completions\n".to_owned()),
            ("share/zord/extra-keys.properties", "extra-keys = [['ESC']]\n".to_owned()),
        ];
        let more = more.iter().map(|&(name, text)| (name, text.to_owned()));
        // what is given replaces what a release has under that name
        let files: BTreeMap<&str, String> = files.into_iter().chain(more).collect();
        let mut sums = String::new();
        for (name, text) in files {
            let path = tree.join("zord").join(name);
            script(&path, &text);
            sums.push_str(&format!("{}  {name}\n", hex(text.as_bytes())));
        }
        fs::write(tree.join("zord/SHA256SUMS"), sums).unwrap();
        let archive = self.home().join("zord-termux-aarch64.tar.gz");
        let packed = Command::new("tar").arg("-C").arg(&tree).arg("-czf").arg(&archive).arg("zord").status().unwrap();
        assert!(packed.success());
        self.sign(&archive);
        archive
    }

    /// Writes the checksum of a file beside it.
    pub fn sign(&self, file: &Path) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let sum = format!("{}  {name}\n", hex(&fs::read(file).unwrap()));
        fs::write(file.with_file_name(format!("{name}.sha256")), sum).unwrap();
    }

    /// Puts the release where the false `curl` finds it.
    pub fn publish(&self, version: &str) {
        let archive = self.release(version);
        let net = self.home().join("net");
        fs::create_dir_all(&net).unwrap();
        for name in ["zord-termux-aarch64.tar.gz", "zord-termux-aarch64.tar.gz.sha256"] {
            fs::rename(archive.with_file_name(name), net.join(name)).unwrap();
        }
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_script(&Path::new(env!("CARGO_MANIFEST_DIR")).join("termux/install.sh"), args)
    }

    pub fn run_script(&self, script: &Path, args: &[&str]) -> Ran {
        // a session of its own has no terminal that questions could go to
        let mut command = Command::new("setsid");
        command.args(["--wait", "sh"]).arg(script).args(args).env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/bin:/bin", self.tools().display()));
        command.env("PREFIX", self.prefix()).env("HOME", self.home()).env("LANG", "C").envs(&self.variables);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        Ran { code: output.status.code(), said }
    }

    /// Everything below the prefix with its content.
    pub fn state(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, all) } else { drop(all.insert(path.clone(), fs::read(&path).unwrap())) }
            }
        }
        let mut all = BTreeMap::new();
        walk(&self.prefix(), &mut all);
        all
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.home().join("log")).unwrap_or_default()
    }

    /// What the installed program calls itself.
    pub fn version(&self) -> String {
        let output = Command::new(self.prefix().join("bin/zord")).arg("--version").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Ran {
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self.said
    }

    /// Refused with these words and a way out.
    #[track_caller]
    pub fn refused(self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}", self.said);
        assert!(self.said.contains("error: ") && self.said.contains("\n\nhint: "), "{}", self.said);
        for word in words {
            assert!(self.said.contains(word), "`{word}` is not in: {}", self.said);
        }
    }
}

pub fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn archive(path: &Path) -> [&str; 2] {
    ["--archive", path.to_str().unwrap()]
}
