//! The `zord-quantize` program: all of it is in the library.

fn main() -> std::process::ExitCode {
    zord::quantize::cli::main().into()
}
