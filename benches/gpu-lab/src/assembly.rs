//! The loop that counts, in the text of a compiler.

use std::collections::HashMap;

#[derive(Default)]
struct Block {
    fma: u64,
    instructions: u64,
    targets: Vec<String>,
    /// Whether the next block never follows.
    ends: bool,
}

const MULTIPLY_ADDS: [&str; 5] = ["ffma", "v_fma", "v_fmac", "v_mac_f32", "v_mad_f32"];

fn read(assembly: &str) -> (Vec<Block>, HashMap<String, usize>) {
    let (mut blocks, mut names) = (Vec::<Block>::new(), HashMap::new());
    for line in assembly.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // `BB12:` is ACO's head of a block, `block 12 L12 [...] -> {` NAK's.
        let aco = line.strip_suffix(':').filter(|name| name.starts_with("BB"));
        let nak = words.get(2).copied().filter(|_| line.starts_with("block"));
        if let Some(name) = aco.or(nak) {
            names.insert(name.to_owned(), blocks.len());
            blocks.push(Block::default());
            continue;
        }
        let skipped = words.is_empty() || ['}', ';'].iter().any(|c| line.starts_with(*c)) || line.starts_with("===");
        let Some(block) = blocks.last_mut().filter(|_| !skipped) else { continue };
        let is = |names: &[&str]| words.iter().take(5).any(|word| names.iter().any(|name| word.starts_with(name)));
        // RDNA 3 issues two at once, and they count as two.
        block.instructions += 1 + line.matches(" :: ").count() as u64;
        block.fma += line.matches("v_dual_fma").count() as u64 + u64::from(is(&MULTIPLY_ADDS));
        if is(&["bra", "s_branch", "s_cbranch"]) {
            let labels = words.iter().filter(|word| word.starts_with("BB") || word.starts_with('L'));
            block.targets.extend(labels.map(|word| word.trim_end_matches(',').to_owned()));
        }
        block.ends = ["bra", "exit", "s_branch", "s_endpgm"].contains(&words[0]);
    }
    (blocks, names)
}

/// What may follow each block.
fn successors(blocks: &[Block], names: &HashMap<String, usize>) -> Vec<Vec<usize>> {
    let next = |i: usize| (!blocks[i].ends && i + 1 < blocks.len()).then_some(i + 1);
    let all = |i: usize| blocks[i].targets.iter().filter_map(|name| names.get(name).copied()).chain(next(i)).collect();
    (0..blocks.len()).map(all).collect()
}

/// Blocks from which `tail` is reached without passing `head`, with both: the natural loop of the branch from one to
/// the other.
fn natural(successors: &[Vec<usize>], head: usize, tail: usize) -> Vec<bool> {
    let mut inside = vec![false; successors.len()];
    (inside[head], inside[tail]) = (true, true);
    let mut grown = true;
    while grown {
        grown = false;
        for block in 0..successors.len() {
            let leads = |next: &usize| inside[*next] && *next != head;
            if !inside[block] && successors[block].iter().any(leads) {
                inside[block] = true;
                grown = true;
            }
        }
    }
    inside
}

/// (multiply-adds, instructions) of the loop that holds most multiply-adds: the smallest that has at least half of all.
pub fn hottest_loop(assembly: &str) -> Option<(u64, u64)> {
    let (blocks, names) = read(assembly);
    let successors = successors(&blocks, &names);
    let total: u64 = blocks.iter().map(|block| block.fma).sum();
    let back = (0..blocks.len()).flat_map(|tail| successors[tail].iter().map(move |head| (*head, tail)));
    let loops = back.filter(|(head, tail)| head <= tail).map(|(head, tail)| {
        let inside = natural(&successors, head, tail);
        let of = |what: fn(&Block) -> u64| blocks.iter().zip(&inside).filter(|(_, i)| **i).map(|(b, _)| what(b)).sum();
        (of(|block| block.fma), of(|block| block.instructions))
    });
    loops.filter(|(fma, _)| *fma > 0 && fma * 2 >= total).min_by_key(|(_, instructions)| *instructions)
}

#[cfg(test)]
mod tests {
    use super::hottest_loop;

    #[test]
    fn the_smallest_loop_with_half_of_all_counts() {
        let aco = "BB0:\n\tv_fma_f32 v0, v1, v2, v3\nBB1:\n\ts_nop\nBB2:\n\tv_fmac_f32 v0, v1, v2\n\
                   \tv_add_u32 v1, v1, 1\n\ts_cbranch_scc1 BB2\nBB3:\n\ts_branch BB1\nBB4:\n\ts_endpgm\n";
        assert_eq!(hottest_loop(aco), Some((1, 3)));
    }

    #[test]
    fn a_block_that_leaves_the_loop_is_not_of_it() {
        let nak = "block 0 L0 [] -> {\n r0 = ffma r1 r2 r3\n@p0 bra L2\n} -> [1, 2]\nblock 1 L1 [0] -> {\n r1 = mov r2\n\
                   \x20exit\n} -> []\nblock 2 L2 [0] -> {\n bra L0\n} -> [0]\n";
        assert_eq!(hottest_loop(nak), Some((1, 3)));
    }

    #[test]
    fn instructions_issued_in_pairs_are_two() {
        let aco = "BB1:\n\tv_dual_fmac_f32 v0, v1, v2 :: v_dual_fmac_f32 v3, v4, v5\n\ts_cbranch_scc1 BB1\n";
        assert_eq!(hottest_loop(aco), Some((2, 3)));
    }

    #[test]
    fn without_multiply_adds_in_a_loop_there_is_no_share() {
        assert_eq!(hottest_loop("BB0:\n\tv_fma_f32 v0, v1, v2, v3\n\ts_endpgm\n"), None);
        assert_eq!(hottest_loop("block 0 L0 [] {\n r0 = ld\n bra L0\n}\n"), None);
    }
}
