//! Whether an adapter computes what it should: every operation against its reference, numbers that are none, large
//! buffers, limits.

mod limits;
mod numbers;
mod operations;
mod sizes;

use crate::check::Operation;
use crate::gpu::{AdapterSummary, Gpu};
use crate::train::clock::Instant;
use serde::Serialize;

/// What came of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Wrong,
    /// Not tried, for a reason that is no fault.
    Untried,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which checks it belongs to.
    pub part: &'static str,
    /// What was checked.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Figures, or what is wrong.
    pub detail: String,
    /// Of an operation: its largest error as a share of what is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// Of an operation: kernels that ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<String>,
}

impl Finding {
    fn new(part: &'static str, name: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { part, name: name.into(), verdict, detail: detail.into(), worst: None, kernels: Vec::new() }
    }

    fn of(part: &'static str, name: impl Into<String>, found: Result<String, String>) -> Self {
        let (verdict, detail) = match found {
            Ok(detail) => (Verdict::Ok, detail),
            Err(detail) => (Verdict::Wrong, detail),
        };
        Self::new(part, name, verdict, detail)
    }
}

/// All checks of an adapter.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The adapter.
    pub adapter: AdapterSummary,
    /// Name of the set of kernels that it is given.
    pub kernels: &'static str,
    /// Each check.
    pub findings: Vec<Finding>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Report {
    /// Checks that went wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::Wrong)
    }

    /// Number of checks that were made.
    pub fn tried(&self) -> usize {
        self.findings.iter().filter(|finding| finding.verdict != Verdict::Untried).count()
    }

    /// Different kernels that ran.
    pub fn ran(&self) -> usize {
        let all: std::collections::BTreeSet<_> = self.findings.iter().flat_map(|finding| &finding.kernels).collect();
        all.len()
    }

    /// The operation with the largest error, and that error as a share of what is allowed.
    pub fn worst(&self) -> Option<(&str, f64)> {
        let errors = self.findings.iter().filter_map(|finding| Some((finding.name.as_str(), finding.worst?)));
        errors.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// Its figures in a line.
    pub fn summary(&self) -> String {
        let mut text = format!("{} checks, {} kernels, {:.0} s", self.tried(), self.ran(), self.seconds);
        if let Some((name, share)) = self.worst() {
            text += &format!("; largest error {:.0} % of what is allowed, by {name}", 100.0 * share);
        }
        match self.findings.len() - self.tried() {
            0 => text,
            untried => text + &format!("; {untried} could not be tried, which is no fault"),
        }
    }
}

/// Whom to tell of each check, and what has been found.
struct Examination<'a> {
    gpu: &'a Gpu,
    tell: &'a mut dyn FnMut(&Finding),
    findings: Vec<Finding>,
}

impl Examination<'_> {
    fn add(&mut self, finding: Finding) {
        (self.tell)(&finding);
        self.findings.push(finding);
    }

    /// Whether the device is still there; that it went away is a finding too.
    fn alive(&mut self, during: &str) -> bool {
        let Err(error @ crate::Error::DeviceLost(_)) = self.gpu.check() else { return true };
        let detail = format!("{error}, during '{during}'; what comes after it was not tried");
        self.add(Finding::new("adapter", "stays", Verdict::Wrong, detail));
        false
    }
}

/// Number of checks that [`examine`] makes with these operations.
pub fn planned(operations: &[Operation]) -> usize {
    limits::COUNT + numbers::CASES.len() + operations.len() + sizes::COUNT
}

/// Examines the adapter of `gpu`, with these of all [`OPERATIONS`](crate::check::OPERATIONS), telling each finding as
/// it comes.
pub async fn examine(gpu: &Gpu, operations: &[Operation], mut tell: impl FnMut(&Finding)) -> Report {
    let begun = Instant::now();
    let mut examination = Examination { gpu, tell: &mut tell, findings: Vec::new() };
    limits::examine(&mut examination);
    if numbers::examine(&mut examination).await && operations::examine(&mut examination, operations).await {
        sizes::examine(&mut examination).await;
    }
    Report {
        adapter: gpu.adapter().clone(),
        kernels: gpu.profile().name,
        findings: examination.findings,
        seconds: begun.elapsed().as_secs_f64(),
    }
}
