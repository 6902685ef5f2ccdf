//! The table for people.

use crate::found::{Found, Kernel, Made};
use std::cmp::Ordering;

/// Loops with fewer multiply-adds wait for memory, whatever their share is.
const ARITHMETIC: u64 = 32;

fn rank(kernel: &Kernel) -> (bool, std::cmp::Reverse<u64>, bool) {
    let arithmetic = kernel.on.values().any(|made| made.fma >= ARITHMETIC);
    (kernel.software, std::cmp::Reverse(kernel.scratch()), !arithmetic)
}

/// What real GPUs get, spills first, then arithmetic by the share of multiply-adds, the least first.
pub fn by_what_matters(a: &Kernel, b: &Kernel) -> Ordering {
    let share = |kernel: &Kernel| kernel.share().unwrap_or(f64::INFINITY);
    rank(a).cmp(&rank(b)).then(share(a).total_cmp(&share(b))).then(a.name.cmp(&b.name))
}

fn cells(made: Option<&Made>) -> String {
    let Some(made) = made else { return format!("{:41}", "  -") };
    let share = made.share().map_or("-".into(), |share| format!("{share:.0} %"));
    let of = if made.fma > 0 { made.instructions } else { 0 };
    let shared = made.shared.map_or("-".into(), |bytes| bytes.to_string());
    let Made { registers, scratch, code, .. } = made;
    format!("  {share:>5}{of:>6}{registers:>6}{scratch:>8}{shared:>7}{code:>7}")
}

/// A line for each kernel.
pub fn print(found: &Found) {
    let width = found.kernels.iter().map(|kernel| kernel.name.len()).max().unwrap_or(0);
    let gpus: Vec<&String> = found.kernels.first().map(|kernel| kernel.on.keys().collect()).unwrap_or_default();
    println!(
        "{}. Of the hottest loop: share of multiply-adds, and instructions; bytes but for registers.",
        found.driver
    );
    let names: String = gpus.iter().map(|gpu| format!("  {gpu:<39}")).collect();
    println!("{:width$}{}", "", names.trim_end());
    println!("{:width$}{}", "kernel", "    fma    of  regs scratch shared   code".repeat(gpus.len()));
    for kernel in &found.kernels {
        let software = if kernel.software { "  never on a GPU" } else { "" };
        let cells: String = gpus.iter().map(|gpu| cells(kernel.on.get(*gpu))).collect();
        println!("{:width$}{cells}{software}", kernel.name);
    }
    println!();
    for gpu in gpus {
        let of = |real: bool| found.kernels.iter().filter(move |kernel| kernel.software != real);
        let spill = of(true).filter(|kernel| kernel.on.get(gpu).is_some_and(|made| made.scratch > 0)).count();
        println!("{gpu}: {spill} of {} kernels for real GPUs spill", of(true).count());
    }
}
