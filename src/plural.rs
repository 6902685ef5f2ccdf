//! Numbers of things as a person says them: `1 step`, `2 steps`.

use std::fmt::Display;

/// So many of what `one` names: `2 test images` of `test image`.
pub(crate) fn count<N: Display + PartialEq + From<u8>>(n: N, one: &str) -> String {
    let ending = match one {
        _ if n == N::from(1) => "",
        _ if ["s", "x", "nch", "tch", "sh"].iter().any(|end| one.ends_with(end)) => "es",
        _ => "s",
    };
    format!("{n} {one}{ending}")
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn one_is_one() {
        let said = [count(0u64, "step"), count(1u64, "step"), count(2u64, "batch"), count(1u64, "batch")];
        assert_eq!(said, ["0 steps", "1 step", "2 batches", "1 batch"]);
        assert_eq!([count(2u64, "epoch"), count(2u64, "launch")], ["2 epochs", "2 launches"]);
        assert_eq!([count(1usize, "class"), count(3usize, "class")], ["1 class", "3 classes"]);
    }
}
