//! Adapters that are known to be wrong somewhere, declared in one place with the reason.

use super::AdapterSummary;

/// What is known of some adapters.
#[derive(Debug)]
pub struct Known {
    /// Part of the adapter's name, in small letters.
    name: &'static str,
    /// Part of its driver's name and version; empty for all.
    driver: &'static str,
    /// What is wrong there, since when it is known, and what mexhat does about it.
    pub reason: &'static str,
    /// Whether results cannot be trusted in spite of that.
    pub bad: bool,
}

/// All that is known. No real GPU has been seen to be wrong so far, because none has been tried.
const KNOWN: &[Known] = &[
    Known {
        name: "swiftshader",
        driver: "",
        reason: "its compiler hung, and in browsers failed, at a whole Newton-Schulz iteration in one launch (November 2026); it \
                 is given a launch for each product",
        bad: false,
    },
    Known {
        name: "llvmpipe",
        driver: "mesa 22.",
        reason: "a launch of one workgroup that shares rows takes milliseconds instead of 50 us (November 2026); it is given \
                 others",
        bad: false,
    },
    Known {
        name: "llvmpipe",
        driver: "",
        reason: "it ends the loops of an invocation after 65,535 rounds without a word (November 2026); longer sums are taken in parts, \
                 and what cannot be is refused",
        bad: false,
    },
];

impl AdapterSummary {
    /// What is known to be wrong with this adapter.
    pub fn known(&self) -> impl Iterator<Item = &'static Known> {
        let (name, driver) = (self.name.to_ascii_lowercase(), self.driver.to_ascii_lowercase());
        KNOWN.iter().filter(move |known| name.contains(known.name) && driver.contains(known.driver))
    }
}
