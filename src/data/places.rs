//! Where data sets lie in a file system.

use std::path::{Path, PathBuf};

use super::source::{Found, NAMES, Want, find};
use super::{LoadOptions, files};
use crate::error::{Error, Result};

/// The user's folder of data sets, where fetched ones are kept; `None` when the system names no home.
pub fn data_home() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .or_else(|| folder("LOCALAPPDATA"))?;
    Some(base.join("mexhat"))
}

/// Where the public data set `name` is looked for, in this order.
pub fn places(name: &str) -> Vec<PathBuf> {
    let given = std::env::var_os("MEXHAT_DATA").filter(|v| !v.is_empty()).map(PathBuf::from);
    let bases = [Some(PathBuf::from("data")), given, data_home()];
    bases.into_iter().flatten().map(|base| base.join(name)).collect()
}

/// How to come by the public data set `name`.
fn advice(name: &str) -> String {
    #[cfg(feature = "cli")]
    if crate::data::fetch::fetchable().contains(&name) {
        return format!("Get it with: mexhat data fetch {name}");
    }
    format!("Put the files of {name} there, or name their folder with `data`")
}

pub(super) fn find_path(spec: &str, options: &LoadOptions, want: Want) -> Result<Found> {
    let path = if NAMES.contains(&spec) {
        let places = places(spec);
        match places.iter().find(|place| place.exists()) {
            Some(place) => place.clone(),
            None => {
                let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
                return Err(Error::Usage(format!(
                    "data set '{spec}' was not found; looked for {}. {}",
                    places.join(", "),
                    advice(spec)
                )));
            }
        }
    } else if Path::new(spec).exists() {
        PathBuf::from(spec)
    } else {
        return Err(Error::Usage(format!(
            "unknown data set '{spec}': expected {} or the path of a folder or zip, but there is nothing at that path",
            NAMES.join(", ")
        )));
    };
    find(&*files::open(&path)?, spec, options, want)
}
