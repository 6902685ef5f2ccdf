//! Arrays that lie in storage as 16-bit floats: a pass over the text of a shader, and the same numbers on the host.
//!
//! A kernel is written once, for f32. Where a launch binds an array that lies in f16, its declaration becomes one of
//! pairs in words, its loads are unpacked to f32 and its stores are packed, so that all arithmetic stays f32. Packing
//! is WGSL's own since its first version: no adapter lacks it, while `shader-f16` is missing in some browsers and
//! drivers.
//!
//! What a store is given becomes one of the two f16 beside it (in steps of 2^-24 below 2^-14): the nearest as a rule,
//! the smaller one by some compilers for AMD and NVIDIA; rounding before would add half to what a store takes. What
//! lies beyond [`MOST`], and what is no number, becomes infinite with its sign: WGSL leaves open what packing makes of
//! it. Infinite stays infinite, where a NaN would vanish in a ReLU.

use super::rewrite::{bracketed, code, with_loads};

/// The largest f16.
pub(crate) const MOST: f64 = 65504.0;

const LOAD_VECTOR: &str =
    "fn vector_of_f16(v: vec2u) -> vec4f { return vec4f(unpack2x16float(v.x), unpack2x16float(v.y)); }\n";

const LOAD_ONE: &str = "fn one_of_f16(v: u32, i: u32) -> f32 {
    let pair = unpack2x16float(v);
    return select(pair.x, pair.y, (i & 1u) == 1u);
}
";

/// 0x477fe000 is the largest f16, packed 0x7bff; one more is infinite.
const STORE: &str = "fn to_f16(v: vec4f) -> vec2u {
    let bits = bitcast<vec4u>(v);
    let size = bits & vec4u(0x7fffffffu);
    let held = bitcast<vec4f>(min(size, vec4u(0x477fe000u)) | (bits & vec4u(0x80000000u)));
    let beyond = select(vec4u(0u), vec4u(1u, 0x10000u, 1u, 0x10000u), size > vec4u(0x477fe000u));
    return vec2u(pack2x16float(held.xy), pack2x16float(held.zw)) + beyond.xz + beyond.yw;
}
";

/// An array in storage as a line declares it.
struct Declared<'a> {
    binding: u32,
    name: &'a str,
    element: &'a str,
}

fn declared(line: &str) -> Option<Declared<'_>> {
    let (binding, rest) = line.strip_prefix("@group(0) @binding(")?.split_once(") var<storage, read")?;
    let (name, ty) = rest.split_once("> ")?.1.split_once(": array<")?;
    Some(Declared { binding: binding.parse().ok()?, name, element: ty.strip_suffix(">;")? })
}

/// `text` with those arrays in f16 whose binding is a bit of `bindings`.
pub(super) fn stored(text: String, bindings: u32) -> String {
    if bindings == 0 {
        return text;
    }
    let arrays = text.lines().filter_map(declared).filter(|array| bindings >> array.binding & 1 == 1);
    let arrays: Vec<Declared<'_>> = arrays.collect();
    let mut out = String::with_capacity(2 * text.len());
    for line in text.lines() {
        match arrays.iter().find(|array| declared(line).is_some_and(|own| own.binding == array.binding)) {
            Some(array) => {
                let words = if array.element == "vec4f" { "vec2u" } else { "u32" };
                out.push_str(&line.replace(&format!("array<{}>", array.element), &format!("array<{words}>")));
            }
            None => out.push_str(&with_store(code(line), &arrays)),
        }
        out.push('\n');
    }
    for (call, helper) in [("vector_of_f16(", LOAD_VECTOR), ("one_of_f16(", LOAD_ONE), ("to_f16(", STORE)] {
        if out.contains(call) {
            out.push_str(helper);
        }
    }
    out
}

/// A line, whose statement may store a vector in one of `arrays`, and its loads.
fn with_store(line: &str, arrays: &[Declared<'_>]) -> String {
    let indent = line.len() - line.trim_start().len();
    let stored = arrays.iter().filter(|array| array.element == "vec4f").find_map(|array| {
        let after = line[indent..].strip_prefix(array.name)?;
        let index = bracketed(after)?;
        let value = after[index.len() + 2..].strip_prefix(" = ")?.trim_end().strip_suffix(';')?;
        Some((array.name, index, value))
    });
    match stored {
        Some((name, index, value)) => {
            let [index, value] = [index, value].map(|part| with_all_loads(part, arrays));
            format!("{}{name}[{index}] = to_f16({value});", &line[..indent])
        }
        None => with_all_loads(line, arrays),
    }
}

fn with_all_loads(text: &str, arrays: &[Declared<'_>]) -> String {
    arrays.iter().fold(text.to_owned(), |text, Declared { name, element, .. }| {
        with_loads(&text, name, &|index| match *element {
            "vec4f" => format!("vector_of_f16({name}[{index}])"),
            _ => format!("one_of_f16({name}[({index}) / 2u], {index})"),
        })
    })
}

/// The f16 that lies in these bytes.
pub(super) fn to_f32(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let [sign, exponent, mantissa] = [bits >> 15, bits >> 10 & 31, bits & 1023].map(f32::from);
    let size = match exponent as i32 {
        0 => mantissa * 2f32.powi(-24),
        31 if mantissa == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1024.0 + mantissa) * 2f32.powi(exponent - 25),
    };
    if sign == 1.0 { -size } else { size }
}

/// What is loaded again of `value` once it has been stored.
#[cfg(reference)]
pub(crate) fn rounded(value: f64) -> f64 {
    if value.is_nan() || value.abs() > MOST {
        return f64::INFINITY.copysign(value);
    }
    let step = 2f64.powi(value.abs().log2().floor().max(-14.0) as i32 - 10);
    (value / step).round_ties_even() * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_is_itself() {
        for bits in 0..=u16::MAX {
            let value = to_f32(bits.to_le_bytes());
            let again = rounded(f64::from(value)) as f32;
            assert!(value.is_nan() || again.to_bits() == value.to_bits(), "{bits:#x}: {value}, {again}");
        }
        assert_eq!(
            [0x3c00u16, 0xc000, 0x7bff, 0x0001].map(u16::to_le_bytes).map(to_f32),
            [1.0, -2.0, 65504.0, 2f32.powi(-24)]
        );
        assert!(to_f32([0x00, 0x7e]).is_nan());
    }

    #[test]
    fn numbers_round_to_the_nearest() {
        let near = 1.0 + 2f64.powi(-11);
        assert_eq!(
            [1.0, near, near + 1e-9, -near - 1e-9].map(rounded),
            [1.0, 1.0, 1.0 + 2f64.powi(-10), -1.0 - 2f64.powi(-10)]
        );
        assert_eq!([3e-8, 2e-8, 65504.0].map(rounded), [2f64.powi(-24), 0.0, 65504.0]);
        assert_eq!([65505.0, -1e9, f64::NAN].map(rounded), [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY]);
    }

    #[test]
    fn loads_and_stores_are_converted_and_nothing_else_is() {
        let text = "@group(0) @binding(0) var<uniform> params: Params;\n\
                    @group(0) @binding(1) var<storage, read> a: array<vec4f>;\n\
                    @group(0) @binding(2) var<storage, read> at: array<f32>;\n\
                    @group(0) @binding(3) var<storage, read_write> c: array<vec4f>;\n    \
                    c[i] = a[u32(at[2u * i])] + c[j] + b.a[0] + aa[1]; // a[\n";
        assert_eq!(stored(text.into(), 0), text);
        let all = stored(text.into(), 0b1110);
        let expected = "@group(0) @binding(0) var<uniform> params: Params;\n\
                        @group(0) @binding(1) var<storage, read> a: array<vec2u>;\n\
                        @group(0) @binding(2) var<storage, read> at: array<u32>;\n\
                        @group(0) @binding(3) var<storage, read_write> c: array<vec2u>;\n    \
                        c[i] = to_f16(vector_of_f16(a[u32(one_of_f16(at[(2u * i) / 2u], 2u * i))]) + vector_of_f16(c[j]) + b.a[0] + aa[1]);\n";
        assert!(all.starts_with(expected), "{all}");
        assert!(all.ends_with(&[LOAD_VECTOR, LOAD_ONE, STORE].concat()), "{all}");
        let some = stored(text.into(), 0b10);
        assert!(some.contains("c[i] = vector_of_f16(a[u32(at[2u * i])]) + c[j]"), "{some}");
        assert!(some.ends_with(LOAD_VECTOR), "{some}");
    }
}
