//! Between row-major values and the engine's storage, on the host.

use super::{Layout, Type};

/// True when both types keep the same elements at the same places.
pub(super) fn same_storage(a: &Type, b: &Type) -> bool {
    if a.len() != b.len() || a.layout != b.layout || a.dtype != b.dtype {
        return false;
    }
    match a.layout {
        Layout::Plain => true,
        // With one pixel per image channels-last and row-major are the same order; without padding rows may be cut
        // anywhere.
        Layout::Vec4 => {
            let whole = |ty: &Type| ty.inner().is_multiple_of(4);
            let rows = a.inner() == b.inner() || (whole(a) && whole(b));
            rows && (one_pixel(a) || a.shape.len() != 4) && (one_pixel(b) || b.shape.len() != 4)
        }
    }
}

fn one_pixel(ty: &Type) -> bool {
    matches!(ty.shape[..], [_, _, 1, 1])
}

/// For each row-major element, its place in storage.
fn place(ty: &Type, index: usize) -> usize {
    if ty.layout == Layout::Plain {
        return index;
    }
    let stride = ty.inner4() * 4;
    match ty.shape[..] {
        [_, c, h, w] => {
            let (pixel, rest) = (index % (h * w), index / (h * w));
            let (channel, image) = (rest % c, rest / c);
            (image * h * w + pixel) * stride + channel
        }
        _ => index / ty.inner() * stride + index % ty.inner(),
    }
}

impl Type {
    /// Row-major values to storage.
    pub fn encode<T: Copy + Default>(&self, values: &[T]) -> Vec<T> {
        let mut stored = vec![T::default(); self.stored()];
        for (i, value) in values.iter().enumerate() {
            stored[place(self, i)] = *value;
        }
        stored
    }

    /// Storage to row-major values.
    pub fn decode<T: Copy>(&self, stored: &[T]) -> Vec<T> {
        (0..self.len()).map(|i| stored[place(self, i)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_round_trips_and_pads_with_zeros() {
        for shape in [&[2usize, 3, 2, 5][..], &[4, 6], &[2, 3, 7], &[5]] {
            for ty in [Type::vec4(shape), Type::plain(shape)] {
                let values: Vec<f32> = (0..ty.len()).map(|i| i as f32 + 1.0).collect();
                let stored = ty.encode(&values);
                assert_eq!(stored.len(), ty.stored());
                assert_eq!(stored.iter().filter(|v| **v == 0.0).count(), ty.stored() - ty.len());
                assert_eq!(ty.decode(&stored), values);
            }
        }
    }

    #[test]
    fn channels_lie_innermost() {
        let ty = Type::vec4(&[1, 2, 1, 2]);
        assert_eq!(ty.encode(&[1.0, 2.0, 3.0, 4.0]), [1.0, 3.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0]);
    }
}
