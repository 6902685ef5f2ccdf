// Where a vector of maps lies.
struct Place {
    image: u32,
    row: u32,
    column: u32,
    vector: u32,
}

// That of vector `i` of maps of `height` by `width`, whose pixels have `params.channels4` vectors.
fn place_of(i: u32, height: u32, width: u32) -> Place {
    let pixel = i / params.channels4;
    let line = pixel / width;
    return Place(line / height, line % height, pixel % width, i % params.channels4);
}
