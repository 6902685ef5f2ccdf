//! Bytes as normalised values.

use super::view::View;
use super::{Dataset, Normalize};
use crate::error::Result;

/// For each channel the value of every byte.
#[derive(Clone)]
pub(super) struct Tables(Vec<[f32; 256]>);

impl Tables {
    pub fn new(dataset: &Dataset, normalize: &Normalize) -> Result<Self> {
        let channels = dataset.shape[0];
        normalize.check(channels)?;
        let table = |c| std::array::from_fn(|v| normalize.apply(c, v as f32 / 255.0));
        Ok(Self((0..channels).map(table).collect()))
    }

    /// (C, 256), row-major.
    pub fn values(&self) -> &[f32] {
        self.0.as_flattened()
    }

    pub fn append(&self, dataset: &Dataset, i: usize, view: View, images: &mut Vec<f32>) {
        let [_, height, width] = dataset.shape;
        let planes = dataset.image(i).chunks_exact(height * width);
        for (plane, table) in planes.zip(&self.0) {
            for y in 0..height {
                let start = images.len();
                match (view.part, y.checked_add_signed(view.down).filter(|&y| y < height)) {
                    (Some(part), _) => {
                        let value = |at: usize| table[usize::from(plane[at])];
                        let at = |x| part.sample([height, width], [y, x], value).unwrap_or(table[0]);
                        images.extend((0..width).map(at));
                    }
                    (None, None) => images.resize(start + width, table[0]),
                    (None, Some(y)) => {
                        let row = &plane[y * width..][..width];
                        if view.right == 0 {
                            images.extend(row.iter().map(|&v| table[usize::from(v)]));
                        } else {
                            let at = |x: usize| x.checked_add_signed(view.right).and_then(|x| row.get(x)).copied();
                            images.extend((0..width).map(|x| table[usize::from(at(x).unwrap_or(0))]));
                        }
                    }
                }
                if view.flip {
                    images[start..].reverse();
                }
                images[start..][view.blank(y, width)].fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_show_black_outside_and_flips_mirror() {
        let data = Dataset::new("one", 1, [1, 2, 3], (1..=6).collect::<Vec<u8>>(), vec![0]).unwrap();
        let tables = Tables::new(&data, &Normalize { mean: vec![1.0 / 255.0], std: vec![1.0 / 255.0] }).unwrap();
        let show = |view| {
            let mut images = Vec::new();
            tables.append(&data, 0, view, &mut images);
            images.iter().map(|v| v.round() as i32).collect::<Vec<_>>()
        };
        assert_eq!(show(View::default()), [0, 1, 2, 3, 4, 5]);
        assert_eq!(show(View { flip: true, ..View::default() }), [2, 1, 0, 5, 4, 3]);
        assert_eq!(show(View { down: 1, right: -1, ..View::default() }), [-1, 3, 4, -1, -1, -1]);
        assert_eq!(show(View { down: -1, right: 2, flip: true, ..View::default() }), [-1, -1, -1, -1, -1, 2]);
        // A blank square is cut at the edges: of side 2 around (1, 1), and of side 3 around (0, 2).
        assert_eq!(show(View { blank: Some(([1, 1], 2)), ..View::default() }), [0, 0, 2, 0, 0, 5]);
        assert_eq!(show(View { blank: Some(([0, 2], 3)), ..View::default() }), [0, 0, 0, 3, 0, 0]);
    }
}
