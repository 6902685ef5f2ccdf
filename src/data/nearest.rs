//! Planes of classes at another size.

/// A plane stretched to another height and width, each pixel the one nearest to its middle.
pub(crate) fn nearest(plane: &[u8], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    if from == to {
        return plane.to_vec();
    }
    let place = |i: usize, axis: usize| (2 * i + 1) * from[axis] / (2 * to[axis]);
    (0..to[0] * to[1]).map(|i| plane[place(i / to[1], 0) * from[1] + place(i % to[1], 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_takes_the_nearest() {
        assert_eq!(nearest(&[1, 2, 3, 4], [2, 2], [4, 4]), [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
        assert_eq!(nearest(&[1, 2, 3], [1, 3], [1, 1]), [2]);
    }
}
