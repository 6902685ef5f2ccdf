// The SPAN columns of x from `column` - padding on, vectors `o` of channels: where they lie in a row, and which are
// inside of the map. They are the same for every row, so they are found once.
struct Columns {
    at: array<u32, SPAN>,
    inside: array<bool, SPAN>,
}

fn columns_from(image: u32, column: u32, o: u32) -> Columns {
    let first = image * params.height * params.width;
    var found: Columns;
    for (var j = 0u; j < SPAN; j++) {
        // What is negative wraps to more than any size.
        let ix = column + j - params.padding;
        found.inside[j] = ix < params.width;
        found.at[j] = (first + select(0u, ix, ix < params.width)) * params.outputs4 + o;
    }
    return found;
}

// These columns of row `row` - padding of x of an image; zeros outside of the map.
fn row_of_columns(place: ptr<function, Columns>, row: u32) -> array<vec4f, SPAN> {
    let iy = row - params.padding;
    let inside = iy < params.height;
    let base = select(0u, iy * (params.width * params.outputs4), inside);
    var found: array<vec4f, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        found[j] = select(vec4f(0.0), x[base + (*place).at[j]], inside & (*place).inside[j]);
    }
    return found;
}
