//! What was found, as JSON with a line for each kernel, so that a difference can be read.

use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a compiler made of a kernel.
#[derive(Clone, Serialize, Deserialize)]
pub struct Made {
    /// Vector registers of an invocation.
    pub registers: u64,
    /// Bytes of memory that an invocation uses because its registers do not suffice.
    pub scratch: u64,
    /// Bytes of workgroup memory, where the compiler says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<u64>,
    /// Bytes of code.
    pub code: u64,
    /// Subgroups that fit on one scheduler beside each other, by registers alone.
    pub subgroups: u64,
    /// Multiply-adds of the hottest loop, 0 where no loop has any.
    pub fma: u64,
    /// All instructions of the hottest loop.
    pub instructions: u64,
}

impl Made {
    /// Multiply-adds in a hundred instructions of the hottest loop: no kernel comes nearer to the peak.
    pub fn share(&self) -> Option<f64> {
        (self.fma > 0).then(|| 100.0 * self.fma as f64 / self.instructions as f64)
    }
}

/// A kernel on each GPU.
#[derive(Clone, Serialize, Deserialize)]
pub struct Kernel {
    /// File and constants.
    pub name: String,
    /// Only adapters that compute on the CPU get it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub software: bool,
    /// By the name of the GPU.
    #[serde(flatten)]
    pub on: BTreeMap<String, Made>,
}

impl Kernel {
    /// Bytes of scratch memory on the GPU that needs most.
    pub fn scratch(&self) -> u64 {
        self.on.values().map(|made| made.scratch).max().unwrap_or(0)
    }

    /// The least share of all GPUs.
    pub fn share(&self) -> Option<f64> {
        self.on.values().filter_map(Made::share).min_by(f64::total_cmp)
    }
}

/// All kernels.
#[derive(Serialize, Deserialize)]
pub struct Found {
    /// Name and version of the driver.
    pub driver: String,
    /// In the order of the crate's lists.
    pub kernels: Vec<Kernel>,
}

impl Found {
    /// From a file that [`Found::json`] made.
    pub fn read(file: &str) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{file} is not what gpu-lab writes: {error}"))
    }

    /// A line for each kernel.
    pub fn json(&self) -> Result<String> {
        let failed = |error: serde_json::Error| format!("cannot write JSON: {error}");
        let mut text = format!("{{\"driver\":{},\"kernels\":[", serde_json::to_string(&self.driver).map_err(failed)?);
        for (i, kernel) in self.kernels.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\n{}", serde_json::to_string(kernel).map_err(failed)?);
        }
        Ok(text + "\n]}\n")
    }

    /// [`Found::json`] on the standard output.
    pub fn print(&self) -> Result {
        print!("{}", self.json()?);
        Ok(())
    }
}

/// Several runs, each on its own GPU, as one.
pub fn merge(runs: Vec<Found>) -> Found {
    let mut all = Found { driver: String::new(), kernels: Vec::new() };
    for run in runs {
        all.driver = run.driver;
        for kernel in run.kernels {
            match all.kernels.iter_mut().find(|known| known.name == kernel.name) {
                Some(known) => known.on.extend(kernel.on),
                None => all.kernels.push(kernel),
            }
        }
    }
    all
}
