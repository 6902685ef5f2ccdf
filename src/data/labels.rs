//! What the images of a batch are: a label each, or one for each pixel, moved and mirrored with it.

use super::dataset::IGNORED;
use super::view::View;
use super::{Augment, Dataset};
use crate::rng::Rng;

/// The labels of the images `indices`, or of their pixels, as `fill_augmented` shows them.
pub(crate) fn labels_augmented(dataset: &Dataset, augment: &Augment, stream: Rng, indices: &[usize]) -> Vec<u32> {
    let mut labels = Vec::new();
    for &i in indices {
        append_labels(dataset, i, View::random(augment, dataset.shape, stream.fork(i as u64)), &mut labels);
    }
    labels
}

/// Appends the label of image `i`, or those of its pixels in this view: what comes in from beyond the image has none.
/// Pixels that are blank keep theirs.
pub(super) fn append_labels(dataset: &Dataset, i: usize, view: View, labels: &mut Vec<u32>) {
    if !dataset.is_masked() {
        labels.push(dataset.labels[i]);
        return;
    }
    let [_, height, width] = dataset.shape;
    let mask = dataset.mask(i);
    for y in 0..height {
        let start = labels.len();
        if let Some(part) = view.part {
            let label = |[y, x]: [usize; 2]| mask[y * width + x];
            let at = |x| part.nearest([height, width], [y, x]).map_or(IGNORED, label);
            labels.extend((0..width).map(|x| u32::from(at(x))));
            if view.flip {
                labels[start..].reverse();
            }
            continue;
        }
        let row = y.checked_add_signed(view.down).filter(|&y| y < height);
        let row = row.map(|y| &mask[y * width..][..width]);
        let at = |x: usize| row.and_then(|row| row.get(x.checked_add_signed(view.right)?)).copied().unwrap_or(IGNORED);
        labels.extend((0..width).map(|x| u32::from(at(x))));
        if view.flip {
            labels[start..].reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Loader, LoaderOptions, Normalize};
    use super::*;

    #[test]
    fn masks_are_resized_with_their_images() {
        // Halves of one value, which is their class: between them images mix, and nowhere else.
        let pixels: Vec<u8> = (0..5 * 64).map(|i| if i % 8 < 4 { 60 } else { 120 }).collect();
        let data =
            Dataset::new("halves", 121, [1, 8, 8], pixels.clone(), vec![0; 5]).unwrap().with_masks(pixels).unwrap();
        let augment = Augment { flip: true, random_resize: true, ..Augment::NONE };
        let options = LoaderOptions { batch_size: 5, ..Default::default() };
        let loader = Loader::new(Arc::new(data), Normalize::none(1), Some(augment), options).unwrap();
        let mut seen = [0; 3];
        for batch in (0..20).flat_map(|epoch| loader.epoch(epoch, 0)) {
            for (label, value) in batch.labels.iter().zip(&batch.images) {
                let value = (value * 255.0).round() as u32;
                match label {
                    255 => assert_eq!(value, 0),
                    label => assert!(value == *label || (61..120).contains(&value), "{value} and {label}"),
                }
                seen[match value {
                    0 => 0,
                    60 | 120 => 1,
                    _ => 2,
                }] += 1;
            }
        }
        assert!(seen[0] > 500 && seen[1] > 2000 && seen[2] > 200, "{seen:?}");
    }

    #[test]
    fn masks_are_moved_and_mirrored_with_their_images() {
        // Each pixel's value is its class, so that what belongs together stays equal; beyond the image there is none.
        let pixels: Vec<u8> = (0..5 * 6).map(|i| (i % 6 + 1) as u8).collect();
        let data = Dataset::new("same", 7, [1, 2, 3], pixels.clone(), vec![0; 5]).unwrap().with_masks(pixels).unwrap();
        let augment = Augment { pad: 1, flip: true, ..Augment::NONE };
        let options = LoaderOptions { batch_size: 2, ..Default::default() };
        let loader = Loader::new(Arc::new(data), Normalize::none(1), Some(augment), options).unwrap();
        let (mut moved, mut seen) = (0, 0);
        for batch in (0..8).flat_map(|epoch| loader.epoch(epoch, 0)) {
            assert_eq!(batch.labels.len(), batch.len * 6);
            for (label, value) in batch.labels.iter().zip(&batch.images) {
                let value = (value * 255.0).round() as u32;
                assert_eq!(*label, if value == 0 { u32::from(IGNORED) } else { value });
                (moved, seen) = (moved + u32::from(value == 0), seen + 1);
            }
        }
        assert!(moved > 20 && moved < seen / 2, "{moved} of {seen} come from beyond");
    }
}
