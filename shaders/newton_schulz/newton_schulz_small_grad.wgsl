// Gradient of newton_schulz_small.wgsl in one launch, a workgroup for each matrix: the forward derivative in the
// direction of the symmetrised gradient (method, section 9.4). With s = ||a||_F, dy = (g + g^T) / 2 s^(-1/2), dz = 0:
//   du = -(dz y + z dy) / 2, dy <- dy u + y du, dz <- du z + u dz, T times; gb = dz,
//   gs = -1/2 s^(-3/2) <g, z> - <gb, a> / s^2, ga = gb / s + gs a / s.
//
// `work` holds du and two generations of dy and dz for every matrix; invocations pass results through it.
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
@group(0) @binding(2) var<storage, read> g: array<vec4f>;
@group(0) @binding(3) var<storage, read> squared_norm: array<f32>;
@group(0) @binding(4) var<storage, read> saved: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> ga: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> work: array<vec4f>;

const PAIR: u32 = 1u;

// #import newton_schulz/shared/small_blocks.wgsl
// #import newton_schulz/shared/small_iterates.wgsl

var<workgroup> partial: array<vec2f, LANES>;

// The first product of a pair is work x saved, the second one saved x work. `second` is a constant wherever these are
// called.
fn left_vector(second: bool, at: u32) -> vec4f {
    if second {
        return saved[at];
    }
    return work[at];
}

fn right_vector(second: bool, at: u32) -> vec4f {
    if second {
        return work[at];
    }
    return saved[at];
}

fn store_vector(at: u32, value: vec4f) {
    work[at] = value;
}

// Places in `work`: du, then two generations of dy and of dz.
const DU: u32 = 0u;

fn dy_of(t: u32) -> u32 {
    return 1u + t % 2u;
}

fn dz_of(t: u32) -> u32 {
    return 3u + t % 2u;
}

// Writes dY_0 and dU_0, which is dZ_1 too.
fn start(block: u32, lane: u32) {
    let size = params.d * params.d4;
    let base = block * size;
    let factor = 0.5 * inverseSqrt(sqrt(squared_norm[block]));
    let dy = matrix_at(dy_of(0u), block);
    let du = matrix_at(DU, block);
    let dz = matrix_at(dz_of(1u), block);
    for (var i = lane; i < size; i += LANES) {
        let row = quotient(i, params.d4);
        let column = (i - row * params.d4) * 4u;
        var v = g[base + i];
        for (var e = 0u; e < 4u; e++) {
            if column + e < params.d {
                v[e] += g[base + (column + e) * params.d4 + row / 4u][row % 4u];
            }
        }
        v *= factor;
        work[dy + i] = v;
        work[du + i] = -0.5 * v;
        work[dz + i] = -0.5 * v;
    }
}

fn finish(block: u32, lane: u32) {
    let size = params.d * params.d4;
    let base = block * size;
    let z = matrix_at(z_of(params.iterations), block);
    let gb = matrix_at(dz_of(params.iterations), block);
    var sum_z = vec4f(0.0);
    var sum_a = vec4f(0.0);
    for (var i = lane; i < size; i += LANES) {
        sum_z += g[base + i] * saved[z + i];
        sum_a += work[gb + i] * a[base + i];
    }
    partial[lane] = vec2f(sum_z.x + sum_z.y + (sum_z.z + sum_z.w), sum_a.x + sum_a.y + (sum_a.z + sum_a.w));
    workgroupBarrier();
    var dots = vec2f(0.0);
    for (var i = 0u; i < LANES; i++) {
        dots += partial[i];
    }
    let s = sqrt(squared_norm[block]);
    let gs = -0.5 * dots.x / (s * sqrt(s)) - dots.y / (s * s);
    for (var i = lane; i < size; i += LANES) {
        ga[base + i] = (work[gb + i] + gs * a[base + i]) / s;
    }
}

// Pair 0, 1 or 2 of step t: dU_t, dZ_(t+1), dY_(t+1), each alpha (dleft right + left dright). Written once, as
// compilers write out each call.
fn pair(job: u32, t: u32, block: u32, lane: u32) {
    var to = DU;
    var dleft = dz_of(t);
    var right = y_of(t);
    var left = z_of(t);
    var dright = dy_of(t);
    if job == 1u {
        to = dz_of(t + 1u);
        dleft = DU;
        right = z_of(t);
        left = u_of(t);
        dright = dz_of(t);
    }
    if job == 2u {
        to = dy_of(t + 1u);
        dleft = dy_of(t);
        right = u_of(t);
        left = y_of(t);
        dright = DU;
    }
    let factors = Factors(
        matrix_at(dleft, block),
        matrix_at(right, block),
        matrix_at(left, block),
        matrix_at(dright, block),
    );
    let result = Result(matrix_at(to, block), select(1.0, -0.5, job == 0u), 0.0);
    multiply(factors, result, select(lane, other_end(lane), job == 2u));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let block = group.x;
    start(block, lane);
    storageBarrier();
    // The first step has no pair but the last, and the last has all but that.
    for (var n = 2u; n + 1u < params.iterations * 3u; n++) {
        let t = n / 3u;
        pair(n % 3u, t, block, lane);
        // The second and the third do not wait for each other.
        if n % 3u != 1u || t + 1u == params.iterations {
            storageBarrier();
        }
    }
    finish(block, lane);
}
