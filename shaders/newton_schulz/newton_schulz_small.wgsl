// All iterations of small matrices in one launch, a workgroup for each matrix (method, section 5): with s = ||a||_F, y
// = a / s, z = I:
//   u = (3 I - z y) / 2, y <- y u, z <- u z, T times; d = z s^(-1/2).
//
// `saved` holds Y_0 .. Y_(T-1), U_0 .. U_(T-1), Z_2 .. Z_T of every matrix, which the gradient needs, and is what
// invocations pass results through. Z_1 is U_0; the first step needs no product and the last none for Y.
const LANES: u32 = 128u;

struct Params {
    d: u32,
    d4: u32,
    batches: u32,
    iterations: u32,
    symmetric: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> deconv: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> squared_norm: array<f32>;
@group(0) @binding(4) var<storage, read_write> saved: array<vec4f>;

const PAIR: u32 = 0u;

// #import newton_schulz/shared/small_blocks.wgsl
// #import newton_schulz/shared/small_iterates.wgsl

var<workgroup> partial: array<f32, LANES>;

fn left_vector(second: bool, at: u32) -> vec4f {
    return saved[at];
}

fn right_vector(second: bool, at: u32) -> vec4f {
    return saved[at];
}

fn store_vector(at: u32, value: vec4f) {
    saved[at] = value;
}

// Writes Y_0 and U_0; returns s^2.
fn start(block: u32, lane: u32) -> f32 {
    let size = params.d * params.d4;
    let base = block * size;
    var sum = vec4f(0.0);
    for (var i = lane; i < size; i += LANES) {
        sum += a[base + i] * a[base + i];
    }
    partial[lane] = sum.x + sum.y + (sum.z + sum.w);
    workgroupBarrier();
    var squared = 0.0;
    for (var i = 0u; i < LANES; i++) {
        squared += partial[i];
    }
    let inverse = 1.0 / sqrt(squared);
    let y = matrix_at(y_of(0u), block);
    let u = matrix_at(u_of(0u), block);
    for (var i = lane; i < size; i += LANES) {
        let row = quotient(i, params.d4);
        let column = (i - row * params.d4) * 4u;
        let scaled = a[base + i] * inverse;
        let identity = select(vec4f(0.0), vec4f(1.5), vec4u(row) == column + vec4u(0u, 1u, 2u, 3u));
        saved[y + i] = scaled;
        saved[u + i] = identity - 0.5 * scaled;
    }
    if lane == 0u {
        squared_norm[block] = squared;
    }
    return squared;
}

// Product 0, 1 or 2 of step t: U_t, Z_(t+1), Y_(t+1). Written once, as compilers write out each call.
fn product(job: u32, t: u32, block: u32, lane: u32) {
    var to = u_of(t);
    var left = z_of(t);
    var right = y_of(t);
    if job == 1u {
        to = z_of(t + 1u);
        left = u_of(t);
        right = z_of(t);
    }
    if job == 2u {
        to = y_of(t + 1u);
        left = y_of(t);
        right = u_of(t);
    }
    let first = job == 0u;
    let factors = Factors(matrix_at(left, block), matrix_at(right, block), 0u, 0u);
    let result = Result(matrix_at(to, block), select(1.0, -0.5, first), select(0.0, 1.5, first));
    multiply(factors, result, select(lane, other_end(lane), job == 2u));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let block = group.x;
    let squared = start(block, lane);
    storageBarrier();
    // The first step has no product but the last, and the last has all but that.
    for (var n = 2u; n + 1u < params.iterations * 3u; n++) {
        let t = n / 3u;
        product(n % 3u, t, block, lane);
        // The second and the third do not wait for each other.
        if n % 3u != 1u || t + 1u == params.iterations {
            storageBarrier();
        }
    }
    let z = matrix_at(z_of(params.iterations), block);
    let size = params.d * params.d4;
    let factor = inverseSqrt(sqrt(squared));
    for (var i = lane; i < size; i += LANES) {
        deconv[block * size + i] = saved[z + i] * factor;
    }
}
