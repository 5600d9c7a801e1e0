//! What stands at `bin/zord` on an ARM phone: picks the build that this processor can run, and becomes it.
//!
//! The builds lie beside it or in `../libexec/zord`. `ZORD_CPU=v80` (or `v82`, `v86`) decides by hand.

use std::ffi::c_ulong;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

// The files and not the library, which would bring llama.cpp along.
#[path = "../device/level.rs"]
#[allow(unreachable_pub, reason = "the library's rooms are public, a program's are not")]
mod level;
#[path = "../program.rs"]
#[allow(unreachable_pub, reason = "the library's rooms are public, a program's are not")]
mod program;

use level::Level;
use program::getauxval;

const AT_HWCAP: c_ulong = 16;
const AT_HWCAP2: c_ulong = 26;

fn main() -> ExitCode {
    let Err((message, hint)) = launch();
    eprintln!("error: {message}\n\nhint: {hint}");
    ExitCode::FAILURE
}

fn launch() -> Result<std::convert::Infallible, (String, String)> {
    let fits = Level::of(getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
    let wanted = std::env::var("ZORD_CPU").ok().filter(|name| !name.is_empty());
    let levels: Vec<Level> = match wanted {
        None => Level::ALL.into_iter().filter(|&level| level <= fits).collect(),
        Some(name) => vec![Level::named(&name).ok_or_else(|| {
            (format!("there is no build `{name}` (`ZORD_CPU`)"), format!("v80, v82 or v86; {fits} fits this processor"))
        })?],
    };
    let folders = folders();
    let builds = levels.iter().flat_map(|level| folders.iter().map(move |folder| folder.join(format!("zord-{level}"))));
    let mut failed = None;
    for build in builds.filter(|build| build.is_file()) {
        let error = Command::new(&build).arg0("zord").args(std::env::args_os().skip(1)).exec();
        failed = failed.or(Some((build, error)));
    }
    Err(match failed {
        Some((build, error)) => {
            (format!("cannot start `{}`: {error}", build.display()), "install zord again".to_owned())
        }
        None => {
            let names: Vec<String> = levels.iter().map(|level| format!("`zord-{level}`")).collect();
            let places: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
            let message = format!("cannot find {} in {}", names.join(" or "), places.join(" or "));
            (message, "install zord again".to_owned())
        }
    })
}

/// Where builds may lie: in the place for what people do not start, or beside this program, whichever link led here.
fn folders() -> Vec<PathBuf> {
    // On Android the linker may be what was started; then the first argument tells.
    let named = std::env::args_os().next().map(PathBuf::from).filter(|name| name.components().count() > 1);
    let programs = [Some(program::path()), named, std::env::current_exe().ok()].into_iter().flatten();
    let mut all: Vec<PathBuf> = Vec::new();
    for folder in programs.filter_map(|program| Some(program.canonicalize().ok()?.parent()?.to_owned())) {
        if !all.contains(&folder) {
            all.extend([folder.with_file_name("libexec").join("zord"), folder]);
        }
    }
    all
}
