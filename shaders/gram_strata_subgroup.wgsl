// Partial sums of a^T b over rows in strata (`ops/strata.rs`): partial[split][i][j / 4]. A stratum is passed over where it does not see the
// entries of a or, with `symmetric`, those of b = a, of which one triangle is computed; rows that follow the strata have all entries.
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

const TM: u32 = 8u;
const TN: u32 = 1u;
const LX: u32 = 8u;
const LY: u32 = 1u;

// #import shared/lanes_subgroup.wgsl
// #import shared/triangle.wgsl
// #import shared/vec4.wgsl
// #import shared/gram_tile.wgsl
// #import shared/divide.wgsl
// #import shared/strata.wgsl

@compute @workgroup_size(LX * LY)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let symmetric = params.symmetric == 1u;
    let tile_row = select(group.y, row_of_tiles(group.y, groups.y), symmetric);
    if symmetric & (group.x < tile_row) {
        return;
    }
    let i0 = tile_row * TM;
    let j0 = group.x * LX + lane;
    let place = place_at(i0, j0, vec2u(lane, 0u));
    let part_i = quotient(i0, params.size4);
    let part_j = quotient(group.x * LX, params.size4);
    let first = group.z * params.runs_per_split * params.images;
    let last = min(first + params.runs_per_split * params.images, params.rows);
    var sum: Tile;
    var stratum = group.z * params.runs_per_split;
    for (var row = first; row < last; row += params.images) {
        let seen = tap_of(stratum, part_i).seen & (tap_of(stratum, part_j).seen | !symmetric);
        let wanted = seen | (stratum >= params.strata);
        add_rows(&sum, place, row, select(row, min(row + params.images, last), wanted));
        stratum++;
    }
    for (var i = 0u; i < TM; i++) {
        for (var e = 0u; e < 4u; e++) {
            partial[((group.z * params.da4 + i0 + i) * 4u + e) * params.db4 + j0] = sum[i][e][0];
        }
    }
}
