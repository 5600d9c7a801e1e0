//! The `zord` program.
fn main() {}
