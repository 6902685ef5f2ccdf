//! Running other programs from the root of the repository.

use crate::Result;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
pub fn root() -> PathBuf {
    // Cargo sets the variable afresh on every run, so a moved checkout keeps working.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).parent().map(PathBuf::from).unwrap_or_default()
}

/// The folder of build results that cargo uses here.
pub fn target_dir() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A command that starts in the root of the repository.
pub fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Mesa's drivers complain on stderr without it and put nothing there for computing.
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command
}

/// The cargo that runs this task, with the given arguments separated by spaces.
pub fn cargo(args: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(program, &args.split_whitespace().collect::<Vec<_>>())
}

/// Whether training over MPI can be built here: it takes an MPI and libclang.
pub fn has_mpi() -> bool {
    let starts = |program: &str| succeeds(command(program, &["--version"]));
    let debian =
        || std::fs::read_dir("/usr/lib").is_ok_and(|found| found.flatten().any(|entry| holds_libclang(&entry.path())));
    let clang = || std::env::var_os("LIBCLANG_PATH").is_some() || starts("clang") || debian();
    starts("mpirun") && starts("mpicc") && clang()
}

/// Whether a folder of `/usr/lib`, such as `x86_64-linux-gnu` or `llvm-19`, has the library in it.
fn holds_libclang(folder: &Path) -> bool {
    let inside = |folder: &Path| {
        let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
        found.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("libclang"))
    };
    inside(folder) || inside(&folder.join("lib"))
}

/// The cargo command `action` on the whole workspace, with `more` arguments. One profile and one set of features for
/// all that is built: with others, dependencies would be compiled again.
pub fn workspace(action: &str, more: &str) -> Command {
    let mpi = if has_mpi() { "--features mexhat/mpi" } else { "" };
    cargo(&format!("{action} --release --workspace {mpi} {more}"))
}

/// The program, built as the tests build it.
///
/// # Errors
/// It cannot be built.
pub fn program() -> Result<PathBuf> {
    run(workspace("test", "--test cli --no-run --quiet"))?;
    Ok(target_dir().join("release").join(format!("mexhat{}", std::env::consts::EXE_SUFFIX)))
}

/// True if the command starts and succeeds; its output is dropped.
pub fn succeeds(mut command: Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// What the command prints, without the line end; `None` if it fails.
pub fn output(mut command: Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Prints the command and runs it to its end.
///
/// # Errors
/// The command cannot be started, or it fails.
pub fn run(mut command: Command) -> Result {
    println!("$ {}", shown(&command));
    let status = command.status().map_err(|error| format!("cannot start `{}`: {error}", shown(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", shown(&command))) }
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let words = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

/// Sets the steps of a task apart.
pub fn heading(what: &str) {
    println!("\n=== {what} ===");
}
