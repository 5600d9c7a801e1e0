//! The `zord-distill` program: all of it is in the library.

fn main() -> std::process::ExitCode {
    zord::distill::cli::main().into()
}
