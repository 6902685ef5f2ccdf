// Vectors o of row `row` - padding of x of an image, from column `column` - padding on; zeros outside the map.
fn columns(image: u32, row: u32, column: u32, o: u32) -> array<vec4f, SPAN> {
    let iy = i32(row) - i32(params.padding);
    let inside = iy >= 0 && iy < i32(params.height);
    let base = (image * params.height + u32(select(0, iy, inside))) * params.width;
    var found: array<vec4f, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        let ix = i32(column + j) - i32(params.padding);
        let valid = inside && ix >= 0 && ix < i32(params.width);
        found[j] = select(vec4f(0.0), x[(base + u32(select(0, ix, valid))) * params.outputs4 + o], valid);
    }
    return found;
}
