//! What readers of files are asked for, and what they have found.

use super::Dataset;
use super::files::Files;
use super::report::Skipped;
use crate::error::{Error, Result};

/// Which splits are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    All,
    /// The test split alone, for a network that is trained.
    Test,
}

/// What a reader of files has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Kind of files.
    pub kind: String,
    pub train: Option<Dataset>,
    pub validation: Option<Dataset>,
    pub test: Option<Dataset>,
    /// Where the splits come from.
    pub split: String,
    pub notes: Vec<String>,
    pub skipped: Skipped,
}

/// One of several sets: the one that was asked for, or the only one.
///
/// # Errors
/// [`Error::Input`] that names all when none was chosen or the choice is not among them.
pub(super) fn choose<'a>(files: &dyn Files, names: &[&'a str], wish: Option<&str>, what: &str) -> Result<&'a str> {
    let list = || names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let Some(wish) = wish else {
        return match names {
            [one] => Ok(one),
            _ => Err(Error::input(
                files.path(),
                format!(
                    "holds {} {what}: {}; choose one with `set`, or name its folder with `data`",
                    names.len(),
                    list()
                ),
            )),
        };
    };
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let exact = names.iter().find(|name| **name == wish);
    let near: Vec<&&str> = names.iter().filter(|name| last(name) == wish.to_lowercase()).collect();
    match (exact, near.as_slice()) {
        (Some(name), _) => Ok(name),
        (None, [name]) => Ok(name),
        _ if names == [""] => Err(Error::input(
            files.path(),
            format!("there is no set '{wish}'; the one that is there has no name, so leave out `set`"),
        )),
        _ => Err(Error::input(
            files.path(),
            format!("has no one set '{wish}' among its {what}; expected `set` {}", list()),
        )),
    }
}
