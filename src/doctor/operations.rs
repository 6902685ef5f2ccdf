//! Every operation, forward and backward, by the kernels that this adapter is given, against its reference in `f64`.

use super::{Examination, Finding, Verdict};
use crate::check::{Operation, Sizes, reference};
use crate::rng::Rng;
use std::collections::BTreeSet;

const PART: &str = "operations";

/// Sizes as networks have them.
const ORDINARY: Sizes =
    Sizes { n: 4, c: 32, o: 48, h: 14, w: 14, k: 3, stride: 1, padding: 1, dilation: 1, groups: 1, choice: 4, seed: 1 };

/// Awkward sizes that are drawn, besides those that an operation declares.
const DRAWN: usize = 8;

fn sizes(operation: &Operation, seed: u64) -> Vec<Sizes> {
    let mut rng = Rng::new(seed);
    let mut sizes = vec![ORDINARY];
    sizes.extend((operation.corners)());
    sizes.extend((0..DRAWN).map(|_| Sizes::random(&mut rng)));
    sizes
}

/// Whether the device has stayed.
pub(super) async fn examine(examination: &mut Examination<'_>, operations: &[Operation]) -> bool {
    for (seed, operation) in (0..).zip(operations) {
        let (mut kernels, mut worst, mut wrong) = (BTreeSet::new(), 0.0f64, Vec::new());
        let sizes = sizes(operation, seed);
        let cases = sizes.len();
        for sizes in sizes {
            match reference::check(examination.gpu, operation, sizes, examination.gpu.profile()).await {
                Ok(agreed) => {
                    kernels.extend(agreed.kernels);
                    worst = worst.max(agreed.worst);
                }
                Err(why) => wrong.push(why),
            }
            if !examination.alive(operation.name) {
                return false;
            }
        }
        let detail = match wrong.first() {
            Some(first) => format!("{} of {cases} sizes are wrong, first {first}", wrong.len()),
            None => {
                format!(
                    "{cases:>3} sizes {:>3} kernels   error {:>4.1} % of what is allowed",
                    kernels.len(),
                    100.0 * worst
                )
            }
        };
        let (verdict, worst) = if wrong.is_empty() { (Verdict::Ok, Some(worst)) } else { (Verdict::Wrong, None) };
        let kernels = kernels.into_iter().collect();
        examination.add(Finding { worst, kernels, ..Finding::new(PART, operation.name, verdict, detail) });
    }
    true
}
