//! One helper that spreads independent work over the cores, and does it in place where there are no threads.

use std::ops::Range;

/// Runs `work` over contiguous parts of `0..n`; the results are in order.
pub(super) fn split<T: Send>(n: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    #[cfg(not(target_arch = "wasm32"))]
    {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(n);
        if threads > 1 {
            let part = n.div_ceil(threads);
            return std::thread::scope(|scope| {
                let work = &work;
                let parts: Vec<_> = (0..threads)
                    .map(|t| scope.spawn(move || work((t * part).min(n)..((t + 1) * part).min(n))))
                    .collect();
                parts.into_iter().map(|p| p.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
            });
        }
    }
    vec![work(0..n)]
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_item_once_and_in_order() {
        for n in [0, 1, 2, 3, 7, 100] {
            let parts = super::split(n, |range| range.collect::<Vec<_>>());
            assert_eq!(parts.concat(), (0..n).collect::<Vec<_>>());
        }
    }
}
