// What the cross entropy and its gradient read first: logits, and labels of their pixels.
struct Params {
    pixels: u32,
    channels: u32,
    channels4: u32,
    ignore: u32,
    has_ignore: u32,
    smoothing: f32,
    weighted: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;

// Whether a label counts for nothing: the one to ignore, or of no class.
fn skipped(label: u32) -> bool {
    return ((params.has_ignore == 1u) & (label == params.ignore)) | (label >= params.channels);
}
