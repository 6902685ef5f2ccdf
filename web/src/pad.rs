//! From a drawing to a picture like MNIST's: fitted into 20x20 pixels, then centred by its mass in 28x28.

/// Height and width of the picture.
pub const SIDE: usize = 28;
const BOX: f32 = 20.0;

/// The ink of `pixels` (`width` columns, 0 to 255) as a picture in 0..1; `None` when there is no ink.
pub fn centre(pixels: &[u8], width: usize) -> Option<Vec<f32>> {
    let at = |x: usize, y: usize| f32::from(pixels[y * width + x]) / 255.0;
    let height = pixels.len() / width.max(1);
    let inked = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).filter(|&(x, y)| at(x, y) > 0.1);
    let (left, right) = (inked().map(|p| p.0).min()?, inked().map(|p| p.0).max()? + 1);
    let (top, bottom) = (inked().map(|p| p.1).min()?, inked().map(|p| p.1).max()? + 1);
    let scale = (right - left).max(bottom - top) as f32 / BOX;

    let (mut mass, mut mx, mut my) = (0.0, 0.0, 0.0);
    for (x, y) in inked() {
        mass += at(x, y);
        mx += at(x, y) * (x as f32 + 0.5);
        my += at(x, y) * (y as f32 + 0.5);
    }
    let (mx, my) = (mx / mass, my / mass);

    // Each pixel is the mean of the part of the drawing that it covers.
    let mut picture = vec![0.0; SIDE * SIDE];
    for (i, value) in picture.iter_mut().enumerate() {
        let start = |place: usize, mean: f32| (place as f32 - SIDE as f32 / 2.0) * scale + mean;
        let (x0, y0) = (start(i % SIDE, mx), start(i / SIDE, my));
        let range = |from: f32, size: usize| {
            let clip = |v: f32| v.round().clamp(0.0, size as f32) as usize;
            clip(from)..clip(from + scale)
        };
        let (xs, ys) = (range(x0, width), range(y0, height));
        let sum: f32 = ys.flat_map(|y| xs.clone().map(move |x| at(x, y))).sum();
        *value = (sum / (scale * scale)).min(1.0);
    }
    Some(picture)
}
