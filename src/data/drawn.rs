//! The sets that are drawn here, by name.

use super::found::Found;
#[cfg(not(target_arch = "wasm32"))]
use super::shapes;
use super::{LoadOptions, Splits, glyphs};
use crate::error::{Error, Result};

/// Whether a set of this name is drawn here.
pub(super) fn is_drawn(spec: &str) -> bool {
    spec == "glyphs" || cfg!(not(target_arch = "wasm32")) && spec == "shapes"
}

/// Its splits.
pub(super) fn drawn(name: &str, options: &LoadOptions) -> Result<Found> {
    #[cfg(not(target_arch = "wasm32"))]
    if name == "shapes" {
        return found_drawn(name, "shapes on textures", (shapes::MAX, shapes::splits), options);
    }
    found_drawn(name, "digits", (glyphs::MAX, glyphs::splits), options)
}

/// The splits that `draw` makes, of at most `most` images each.
fn found_drawn(
    name: &str,
    what: &str,
    (most, draw): (usize, fn(&LoadOptions) -> Splits),
    options: &LoadOptions,
) -> Result<Found> {
    // Drawn data has no end, memory has.
    for (option, limit) in [("`limit_train`", options.limit_train), ("`limit_test`", options.limit_test)] {
        if let Some(limit) = limit.filter(|&n| n > most) {
            return Err(Error::Usage(format!("{option} {limit} is too much; expected at most {most}")));
        }
    }
    for (option, given) in
        [("`split`", options.prepare.reading.split.is_some()), ("`set`", options.prepare.reading.set.is_some())]
    {
        if given {
            return Err(Error::Usage(format!(
                "{option} is for files; {name} draws its one set of {what} in two splits"
            )));
        }
    }
    let splits = draw(options);
    Ok(Found {
        kind: format!("{what} drawn from seed {}", options.seed),
        train: Some(splits.train),
        test: Some(splits.test),
        split: "drawn apart".into(),
        ..Found::default()
    })
}
