//! The `mexhat` program.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    mexhat::cli::main()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
