//! Functions that every browser has: compiled in, they and their tables would be a good part of the download.

use js_sys::Math;

/// Defines symbols of C's library, which take the place of those that the compiler brings.
macro_rules! from_the_browser {
    ($($name:ident($($x:ident),*) -> $ty:ident = $value:expr;)*) => {$(
        // The name is C's own, and the function does what C says.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn $name($($x: $ty),*) -> $ty {
            $(let $x = f64::from($x);)*
            $value as $ty
        }
    )*};
}

from_the_browser! {
    sin(x) -> f64 = Math::sin(x);
    cos(x) -> f64 = Math::cos(x);
    exp(x) -> f64 = Math::exp(x);
    log(x) -> f64 = Math::log(x);
    atan2(y, x) -> f64 = Math::atan2(y, x);
    sinf(x) -> f32 = Math::sin(x);
    cosf(x) -> f32 = Math::cos(x);
    exp2(x) -> f64 = Math::pow(2.0, x);
    log2(x) -> f64 = Math::log2(x);
    pow(x, y) -> f64 = Math::pow(x, y);
    powf(x, y) -> f32 = Math::pow(x, y);
}
