//! The package manager of Debian and its children; elsewhere, what to install is said.

use crate::Result;
use crate::command::{command, output, run, succeeds};
use std::io::Write;

/// Whether system packages may be installed without a question.
#[derive(Clone, Copy, PartialEq)]
pub enum Consent {
    /// Ask at the terminal; no answer is a no.
    Ask,
    /// `--yes` was given.
    Given,
}

/// True where `apt-get` is the package manager.
pub fn is_here() -> bool {
    succeeds(command("apt-get", &["--version"]))
}

/// Installs packages, asking first unless consent is given.
///
/// # Errors
/// The answer is no, or `apt-get` fails.
pub fn install(purpose: &str, packages: &[&str], consent: Consent) -> Result {
    let list = packages.join(" ");
    agree(&format!("{purpose} needs the system packages {list}. Install them with apt-get?"), consent).map_err(
        |_| format!("{purpose} needs the system packages {list}; install them, or run this again with --yes"),
    )?;
    apt_get("update", &[])?;
    apt_get("install", packages)
}

/// Asks, unless consent is given.
///
/// # Errors
/// The answer is not yes.
pub fn agree(question: &str, consent: Consent) -> Result {
    if consent == Consent::Given {
        return Ok(());
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| error.to_string())?;
    let yes = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    if yes { Ok(()) } else { Err("the answer was no; --yes answers yes".into()) }
}

fn apt_get(action: &str, packages: &[&str]) -> Result {
    let fixed = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"];
    let action: &[&str] = if action == "install" { &["install", "--no-install-recommends"] } else { &["update"] };
    let args = ["DEBIAN_FRONTEND=noninteractive"].iter().chain(&fixed).chain(action).chain(packages);
    let args: Vec<&str> = args.copied().collect();
    let root = output(command("id", &["-u"])).is_some_and(|id| id == "0");
    if root { run(command("env", &args)) } else { run(command("sudo", &[&["env"], &args[..]].concat())) }
}
