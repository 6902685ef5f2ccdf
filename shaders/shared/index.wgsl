// Number of this invocation in a launch made by `flat_grid`: workgroups of 64, split over y beyond 65,535.
fn flat_index(group: vec3u, groups: vec3u, local: vec3u) -> u32 {
    return (group.y * groups.x + group.x) * 64u + local.x;
}
