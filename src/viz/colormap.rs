//! Colours for numbers: one signed map, one map for magnitudes, and grey.
//!
//! The signed map is ColorBrewer's 11-class RdBu (C. Brewer, M. Harrower, Pennsylvania State University, Apache-2.0),
//! turned so that blue is negative and red positive: safe for all common kinds of colour blindness, with lightness
//! falling evenly to both sides of a near-white zero. The map for magnitudes is viridis (S. van der Walt and N. Smith,
//! CC0): its lightness rises evenly, so it survives grey printing.

/// One sRGB colour.
pub type Rgb = [u8; 3];

/// The colour of values that are not numbers: found in neither map, so that it is seen at once.
pub const NOT_A_NUMBER: Rgb = [0xff, 0x00, 0xff];

/// The colour of zero in [`diverging`].
pub const NEUTRAL: Rgb = [0xf7, 0xf7, 0xf7];

const RDBU: [Rgb; 11] = [
    [0x05, 0x30, 0x61],
    [0x21, 0x66, 0xac],
    [0x43, 0x93, 0xc3],
    [0x92, 0xc5, 0xde],
    [0xd1, 0xe5, 0xf0],
    NEUTRAL,
    [0xfd, 0xdb, 0xc7],
    [0xf4, 0xa5, 0x82],
    [0xd6, 0x60, 0x4d],
    [0xb2, 0x18, 0x2b],
    [0x67, 0x00, 0x1f],
];

const VIRIDIS: [Rgb; 10] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x28, 0x78],
    [0x3e, 0x49, 0x89],
    [0x31, 0x68, 0x8e],
    [0x26, 0x82, 0x8e],
    [0x1f, 0x9e, 0x89],
    [0x35, 0xb7, 0x79],
    [0x6e, 0xce, 0x58],
    [0xb5, 0xde, 0x2b],
    [0xfd, 0xe7, 0x25],
];

/// Piecewise linear through a table, `t` in `0..=1` and clamped.
fn along(table: &[Rgb], t: f32) -> Rgb {
    let place = t.clamp(0.0, 1.0) * (table.len() - 1) as f32;
    let low = (place as usize).min(table.len() - 2);
    let share = place - low as f32;
    std::array::from_fn(|i| {
        let (a, b) = (f32::from(table[low][i]), f32::from(table[low + 1][i]));
        (a + (b - a) * share).round() as u8
    })
}

/// Signed colour: -1 dark blue, 0 [`NEUTRAL`], 1 dark red; clamped beyond.
pub fn diverging(t: f32) -> Rgb {
    if t.is_nan() { NOT_A_NUMBER } else { along(&RDBU, 0.5 + 0.5 * t) }
}

/// Colour of a magnitude: 0 dark violet, 1 yellow; clamped beyond.
pub fn sequential(t: f32) -> Rgb {
    if t.is_nan() { NOT_A_NUMBER } else { along(&VIRIDIS, t) }
}

/// Signed grey level: -1 black, 0 the middle (128), 1 white; clamped beyond.
pub fn signed_grey(t: f32) -> u8 {
    (128.0 + 127.5 * t.clamp(-1.0, 1.0)).clamp(0.0, 255.0) as u8
}

/// The scale rule of every signed picture: the largest magnitude among the finite values, 0 when there is none.
pub fn symmetric_scale(values: &[f32]) -> f32 {
    values.iter().filter(|v| v.is_finite()).fold(0.0, |s, v| s.max(v.abs()))
}

/// `value / scale`, and 0 for every number under a scale of 0: a picture of zeros is neutral, not an error.
pub fn relative(value: f32, scale: f32) -> f32 {
    match value {
        v if v.is_nan() => f32::NAN,
        v if scale > 0.0 => v / scale,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, as WCAG defines it.
    fn luminance(c: Rgb) -> f32 {
        let linear = c.map(|v| {
            let s = f32::from(v) / 255.0;
            if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn zero_is_neutral_and_the_sides_mirror_in_lightness() {
        assert_eq!(diverging(0.0), NEUTRAL);
        assert_eq!(signed_grey(0.0), 128);
        assert_eq!((signed_grey(-1.0), signed_grey(1.0)), (0, 255));
        let mut last = (f32::MAX, f32::MAX);
        for i in 0..=20 {
            let t = i as f32 / 20.0;
            let here = (luminance(diverging(t)), luminance(diverging(-t)));
            assert!((here.0.cbrt() - here.1.cbrt()).abs() < 0.16, "lopsided at {t}: {here:?}");
            assert!(here.0 < last.0 && here.1 < last.1, "not darker than the step before at {t}");
            last = here;
        }
    }

    #[test]
    fn magnitudes_brighten_and_everything_clamps() {
        let light: Vec<f32> = (0..=50).map(|i| luminance(sequential(i as f32 / 50.0))).collect();
        assert!(light.windows(2).all(|w| w[1] > w[0]));
        assert_eq!(sequential(-3.0), sequential(0.0));
        assert_eq!(diverging(9.0), diverging(1.0));
        assert_eq!(diverging(f32::INFINITY), diverging(1.0));
        assert_eq!(diverging(f32::NAN), NOT_A_NUMBER);
    }

    #[test]
    fn scale_ignores_what_is_no_number() {
        assert_eq!(symmetric_scale(&[1.0, -3.0, f32::NAN, f32::INFINITY]), 3.0);
        assert_eq!(symmetric_scale(&[]), 0.0);
        assert_eq!(diverging(relative(5.0, 0.0)), NEUTRAL);
        assert!(relative(f32::NAN, 1.0).is_nan());
    }
}
