//! Functions of `f32` with the same results on every system: computed in `f64` and rounded, which hides what the
//! systems' libraries differ in. With the libraries' own, a browser draws other digits than the program does, by a grey
//! level here and there, and training takes another path within two steps.

macro_rules! rounded {
    ($($name:ident)*) => {$(
        pub(crate) fn $name(x: f32) -> f32 {
            f64::from(x).$name() as f32
        }
    )*};
}

rounded!(sin cos exp ln);

pub(crate) fn atan2(y: f32, x: f32) -> f32 {
    f64::from(y).atan2(f64::from(x)) as f32
}

/// Length of (x, y); square roots are exact everywhere.
pub(crate) fn hypot(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}
