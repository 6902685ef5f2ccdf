//! Sorting what is sorted seldom.

use std::cmp::Ordering;

/// `places` in the order of `compare`, equal ones as they are. The standard library brings a sort of 4 KB for each
/// comparison that it knows when compiled; this one knows none, and a page has it once.
pub(crate) fn ordered(
    places: impl IntoIterator<Item = usize>,
    compare: &dyn Fn(usize, usize) -> Ordering,
) -> Vec<usize> {
    sorted(places.into_iter().collect(), compare)
}

fn sorted(mut places: Vec<usize>, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    places.sort_by(|a, b| compare(*a, *b));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ones_stay_as_they_are() {
        let of = [3, 1, 2, 1, 3];
        assert_eq!(ordered([4, 3, 2, 1, 0], &|a, b| of[a].cmp(&of[b])), [3, 1, 2, 4, 0]);
    }
}
