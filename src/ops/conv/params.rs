//! What kernels of convolutions are told: the sizes that all of them need, and then their own.

/// [`kernel_params!`](crate::kernel_params) of a struct that begins with `conv/shared/sizes.wgsl`.
macro_rules! conv_params {
    (struct $name:ident { $($field:ident : $ty:ident),* $(,)? }) => {
        $crate::kernel_params! {
            struct $name {
                height: u32, width: u32, channels4: u32, out_height: u32, out_width: u32, outputs4: u32,
                kernel_width: u32, stride: u32, padding: u32, dilation: u32, $($field: $ty),*
            }
        }
        impl $name {
            /// The sizes alone, of maps (C,H,W) that are read and of those on the kernel's other side.
            fn between(
                g: &$crate::ops::patches::geometry::Geometry,
                [channels, height, width]: [usize; 3],
                [outputs, out_height, out_width]: [usize; 3],
            ) -> Self {
                Self {
                    height: height as u32,
                    width: width as u32,
                    channels4: channels.div_ceil(4) as u32,
                    out_height: out_height as u32,
                    out_width: out_width as u32,
                    outputs4: outputs.div_ceil(4) as u32,
                    kernel_width: g.kw as u32,
                    stride: g.options.stride as u32,
                    padding: g.options.padding as u32,
                    dilation: g.options.dilation as u32,
                    ..Self::default()
                }
            }
        }
    };
}

pub(super) use conv_params;
