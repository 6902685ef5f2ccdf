// #import shared/divide.wgsl

// A block of 4 features x 4 outputs of a weight: its group, and its first feature and output in that.
struct Block {
    owner: u32,
    feature: u32,
    output: u32,
}

fn block_of(index: u32) -> Block {
    let line = quotient(index, params.outputs4);
    let owner = quotient(line, params.features4);
    return Block(owner, (line - owner * params.features4) * 4u, (index - line * params.outputs4) * 4u);
}

// Where the block's first feature lies in columns.
fn row_of(block: Block) -> u32 {
    return (block.owner * params.features + block.feature) * params.outputs4 + block.output / 4u;
}
