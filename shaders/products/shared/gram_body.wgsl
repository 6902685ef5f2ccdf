// #import products/shared/gram_io.wgsl
// #import products/shared/triangle.wgsl
// #import shared/vec4.wgsl
// #import products/shared/gram_tile.wgsl

@compute @workgroup_size(LX * LY)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    // One dimension, because some drivers fill their vectors along x alone.
    let local = vec2u(lane % LX, lane / LX);
    let tile_row = select(group.y, row_of_tiles(group.y, groups.y), SYMMETRIC == 1u);
    let i0 = (tile_row * LY + local.y) * TM;
    let j0 = group.x * LX * TN + local.x;
    let below = (SYMMETRIC == 1u) & ((group.x + 1u) * LX * TN <= tile_row * LY * TM);
    if below {
        return;
    }
    let batch = group.z / params.splits;
    let split = group.z % params.splits;
    let first = split * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    var sum: Tile;
    add_rows(&sum, place_at(i0, j0, local), batch * params.rows + first, batch * params.rows + last);
    for (var i = 0u; i < TM; i++) {
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TN; j++) {
                if (i0 + i < params.da4) & (j0 + j * LX < params.db4) {
                    let row = (group.z * params.da4 + i0 + i) * 4u + e;
                    partial[row * params.db4 + j0 + j * LX] = sum[i][e][j];
                }
            }
        }
    }
}
