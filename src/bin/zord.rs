//! The `zord` program: all of it is in the library.

fn main() -> std::process::ExitCode {
    zord::cli::main().into()
}
