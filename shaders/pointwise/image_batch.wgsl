// y[image, row, column] = the bytes of an image as values of a table, seen through the image's view: moved, mirrored,
// blanked, or a part of it stretched over the whole. One vector of channels per invocation; channels beyond the last
// are zeros.
//
// `words` words belong to an image, four bytes each, (c, h, w) row-major. A view is three vectors: (down, right,
// mirrored, 0), the part (top, left, height, width), of height 0 where there is none, and the blank rectangle (top,
// left, bottom, right).
struct Params {
    vectors: u32,
    channels: u32,
    height: u32,
    width: u32,
    words: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> images: array<u32>;
@group(0) @binding(2) var<storage, read> views: array<u32>;
@group(0) @binding(3) var<storage, read> tables: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl

// Four numbers of the views, which are signed.
fn numbers(first: u32) -> vec4i {
    return bitcast<vec4i>(vec4u(views[first], views[first + 1u], views[first + 2u], views[first + 3u]));
}

// The value of channel c at a pixel of the image.
fn value(image: u32, c: u32, row: u32, column: u32) -> f32 {
    let at = (c * params.height + row) * params.width + column;
    let byte = (images[image * params.words + at / 4u] >> (at % 4u * 8u)) & 0xffu;
    return tables[c * 256u + byte];
}

// Where `part` pixels from `start` on, stretched over `size`, have place i: two of them, the share of the second, and
// whether they are in the image.
struct Around {
    first: u32,
    second: u32,
    share: f32,
    within: bool,
}

fn around(i: u32, size: u32, start: i32, part: i32) -> Around {
    let at = (f32(i) + 0.5) * f32(part) / f32(size) - 0.5;
    // The image within the part; in whole numbers, which do not round.
    let begin = -start;
    let end = min(i32(size) - start, part);
    let pixel = i32((2u * i + 1u) * u32(part) / (2u * size));
    let within = (pixel >= begin) & (pixel < end);
    let held = clamp(at, f32(max(begin, 0)), f32(end - 1));
    let first = i32(held);
    return Around(u32(start + first), u32(start + min(first + 1, end - 1)), held - f32(first), within);
}

fn along(image: u32, c: u32, row: u32, columns: Around) -> f32 {
    return mix(value(image, c, row, columns.first), value(image, c, row, columns.second), columns.share);
}

fn stretched(image: u32, c: u32, rows: Around, columns: Around) -> f32 {
    return mix(along(image, c, rows.first, columns), along(image, c, rows.second, columns), rows.share);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.vectors {
        return;
    }
    let channels4 = (params.channels + 3u) / 4u;
    let pixel = i / channels4;
    let first = (i - pixel * channels4) * 4u;
    let image = pixel / (params.height * params.width);
    let row = pixel / params.width - image * params.height;
    let column = pixel % params.width;
    let moved = numbers(image * 12u);
    let part = numbers(image * 12u + 4u);
    let blank = numbers(image * 12u + 8u);

    let seen = select(column, params.width - 1u - column, moved.z == 1);
    let at = vec2i(i32(row) + moved.x, i32(seen) + moved.y);
    let within = all(at >= vec2i(0)) && all(at < vec2i(i32(params.height), i32(params.width)));
    let place = vec2i(i32(row), i32(column));
    let blanked = all(place >= blank.xy) && all(place < blank.zw);
    var values = vec4f(0.0);
    for (var e = 0u; e < 4u; e++) {
        let c = first + e;
        if c >= params.channels || blanked {
            continue;
        }
        if part.z > 0 {
            let rows = around(row, params.height, part.x, part.z);
            let columns = around(seen, params.width, part.y, part.w);
            let shown = stretched(image, c, rows, columns);
            values[e] = select(tables[c * 256u], shown, rows.within & columns.within);
        } else if within {
            values[e] = value(image, c, u32(at.x), u32(at.y));
        } else {
            // Black.
            values[e] = tables[c * 256u];
        }
    }
    y[i] = values;
}
