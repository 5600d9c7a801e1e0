//! The `zord-merge` program: all of it is in the library.

fn main() -> std::process::ExitCode {
    zord::merge::cli::main().into()
}
