//! Rewrites the loads of a shader: its read-only inputs become textures that their buffers are copied to.
//!
//! A driver that computes on the CPU runs a load from a storage buffer lane by lane, with a branch and a partial write
//! of a vector for each element; a load from a texture is a straight run of vector instructions. On Mesa's lavapipe a
//! product ran up to four times as fast for it, and a copy costs a hundredth of what it saves (`benches/README.md`).
//!
//! The kernels are written once, for buffers. The declaration of a read-only input becomes that of a texture, and
//! `input[i]` becomes `textureLoad(input, texel(i), 0)`.

use super::images::ROW;
use crate::gpu::Texel;
use crate::gpu::rewrite::{code, with_loads};

impl Texel {
    fn of(name: &str) -> Option<Self> {
        match name {
            "vec4f" => Some(Self::Vec4),
            "f32" => Some(Self::F32),
            "u32" => Some(Self::U32),
            _ => None,
        }
    }

    fn texture(self) -> &'static str {
        if self == Self::U32 { "texture_2d<u32>" } else { "texture_2d<f32>" }
    }

    fn member(self) -> &'static str {
        if self == Self::Vec4 { "" } else { ".x" }
    }

    /// What holds the same of 16-bit floats.
    pub(super) fn halved(self) -> Self {
        match self {
            Self::Vec4 => Self::HalfVec4,
            Self::F32 => Self::Half,
            other => other,
        }
    }
}

/// Binding, name and element of the read-only input that `line` declares.
fn declared(line: &str) -> Option<(&str, &str, Texel)> {
    let (binding, rest) = line.trim().split_once(" var<storage, read> ")?;
    let (name, ty) = rest.split_once(": array<")?;
    Some((binding, name, Texel::of(ty.strip_suffix(">;")?)?))
}

/// Elements of the read-only inputs that `text` declares, in order of their bindings.
pub(super) fn inputs(text: &str) -> Vec<Texel> {
    text.lines().filter_map(declared).map(|(_, _, texel)| texel).collect()
}

/// `text` with textures in place of its read-only buffers.
pub(super) fn from_images(text: &str) -> String {
    let mut inputs = Vec::new();
    let mut out = String::with_capacity(2 * text.len());
    for line in text.lines() {
        match declared(line) {
            Some((binding, name, texel)) => {
                out.push_str(&format!("{binding} var {name}: {};", texel.texture()));
                inputs.push((name, texel));
            }
            None => out.push_str(code(line)),
        }
        out.push('\n');
    }
    let out = inputs.into_iter().fold(out, |text, (name, texel)| {
        with_loads(&text, name, &|index| format!("textureLoad({name}, texel({index}), 0){}", texel.member()))
    });
    out + &format!("fn texel(i: u32) -> vec2u {{ return vec2u(i % {ROW}u, i / {ROW}u); }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_become_textures_and_nothing_else_does() {
        let text = "@group(0) @binding(1) var<storage, read> a: array<vec4f>;\n\
                    @group(0) @binding(2) var<storage, read> at: array<u32>;\n\
                    @group(0) @binding(3) var<storage, read_write> c: array<vec4f>;\n\
                    c[i] = a[at[2u * i] + b.a[0]] + a_[1] + aa[1]; // a[\n";
        assert_eq!(inputs(text), [Texel::Vec4, Texel::U32]);
        let expected = "@group(0) @binding(1) var a: texture_2d<f32>;\n\
                        @group(0) @binding(2) var at: texture_2d<u32>;\n\
                        @group(0) @binding(3) var<storage, read_write> c: array<vec4f>;\n\
                        c[i] = textureLoad(a, texel(textureLoad(at, texel(2u * i), 0).x + b.a[0]), 0) + a_[1] + aa[1]; \n";
        let found = from_images(text);
        assert!(found.starts_with(expected), "{found}");
    }
}
