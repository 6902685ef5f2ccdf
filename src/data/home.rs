//! Where data sets that are known by name lie.

use std::path::PathBuf;
use std::sync::OnceLock;

use etcetera::BaseStrategy;

/// A folder of data sets that the program was given.
static GIVEN: OnceLock<PathBuf> = OnceLock::new();

/// Has public data sets looked for in `folder`, too, before [`data_home`], from now on; a second folder is not taken.
pub fn look_in(folder: PathBuf) {
    GIVEN.get_or_init(|| folder);
}

/// The user's folder of data sets, where fetched ones are kept; `None` when the system names no home.
pub fn data_home() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    // On Windows the other one travels with the user, and data sets are large.
    let base = if cfg!(windows) { folders.cache_dir() } else { folders.data_dir() };
    Some(base.join("mexhat"))
}

/// Where the public data set `name` is looked for, in this order.
pub fn places(name: &str) -> Vec<PathBuf> {
    let bases = [Some(PathBuf::from("data")), GIVEN.get().cloned(), data_home()];
    bases.into_iter().flatten().map(|base| base.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_here_comes_first() {
        let found = places("mnist");
        assert_eq!(found[0], PathBuf::from("data/mnist"));
        assert_eq!(found.last().cloned(), data_home().map(|home| home.join("mnist")).or(Some("data/mnist".into())));
    }
}
