//! What was found before, which is committed, and what may not become worse.

use crate::Result;
use crate::found::{Found, Kernel};
use std::process::ExitCode;

/// Points by which a share may fall.
const SLACK: f64 = 5.0;

/// What became worse in `kernel`: scratch memory where there was none, or a share that fell.
fn worse(kernel: &Kernel, before: Option<&Kernel>) -> Vec<String> {
    let mut found = Vec::new();
    for (gpu, made) in &kernel.on {
        let old = before.and_then(|before| before.on.get(gpu));
        let scratch = old.map_or(0, |old| old.scratch);
        if made.scratch > scratch {
            found.push(format!(
                "{} on {gpu}: {} bytes of scratch memory, expected at most {scratch}",
                kernel.name, made.scratch
            ));
        }
        let share = made.share().unwrap_or(0.0);
        if let Some(old) = old.and_then(|old| old.share()).filter(|old| share < old - SLACK) {
            found.push(format!(
                "{} on {gpu}: {share:.0} % multiply-adds, expected at least {:.0} (before: {old:.0})",
                kernel.name,
                old - SLACK
            ));
        }
    }
    found
}

fn for_gpus(found: &Found) -> impl Iterator<Item = &Kernel> {
    found.kernels.iter().filter(|kernel| !kernel.software)
}

/// Says on the standard error what became worse and what is new.
pub fn compare(found: &Found, before: &Found) -> Result<ExitCode> {
    let known = |kernel: &Kernel| before.kernels.iter().find(|known| known.name == kernel.name);
    if found.driver != before.driver {
        eprintln!("note: the figures to compare with are of {}, these of {}", before.driver, found.driver);
    }
    let new = for_gpus(found).filter(|kernel| known(kernel).is_none()).count();
    if new > 0 {
        eprintln!("note: {new} kernels are new; `cargo xtask gpu-lab --write` takes them into benches/gpu-lab.json");
    }
    let worse: Vec<String> = for_gpus(found).flat_map(|kernel| worse(kernel, known(kernel))).collect();
    if worse.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!(
        "{} findings are worse than benches/gpu-lab.json says:\n  {}\nmend the kernels, or say why it must be so and \
         record it by `cargo xtask gpu-lab --write`",
        worse.len(),
        worse.join("\n  ")
    ))
}

/// Records what was found of the kernels for real GPUs.
pub fn write(mut found: Found, file: &str) -> Result<ExitCode> {
    found.kernels.retain(|kernel| !kernel.software);
    found.kernels.sort_by(|a, b| a.name.cmp(&b.name));
    std::fs::write(file, found.json()?).map_err(|error| format!("{file}: {error}"))?;
    eprintln!("{} kernels are in {file}", found.kernels.len());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::worse;
    use crate::found::{Kernel, Made};

    fn kernel(scratch: u64, fma: u64) -> Kernel {
        let made = Made { registers: 1, scratch, shared: None, code: 1, subgroups: 1, fma, instructions: 100 };
        Kernel { name: "a".into(), software: false, on: [("gpu".to_owned(), made)].into() }
    }

    #[test]
    fn scratch_is_worse_unless_it_was_there() {
        assert_eq!(worse(&kernel(16, 50), None), ["a on gpu: 16 bytes of scratch memory, expected at most 0"]);
        assert_eq!(worse(&kernel(16, 50), Some(&kernel(0, 50))).len(), 1);
        assert!(worse(&kernel(16, 50), Some(&kernel(16, 50))).is_empty());
    }

    #[test]
    fn five_points_are_let_pass() {
        assert!(worse(&kernel(0, 75), Some(&kernel(0, 80))).is_empty());
        let found = worse(&kernel(0, 74), Some(&kernel(0, 80)));
        assert_eq!(found, ["a on gpu: 74 % multiply-adds, expected at least 75 (before: 80)"]);
        assert_eq!(worse(&kernel(0, 0), Some(&kernel(0, 80))).len(), 1, "a loop that lost all of them");
    }
}
