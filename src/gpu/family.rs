//! Families of product kernels and which adapter gets which.

use super::AdapterSummary;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// How the kernels of matrix products and convolutions share what they load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Register tiles, nothing shared: every adapter can run it, and those that compute on the CPU run it well.
    Register,
    /// Register tiles whose rows are passed around in a subgroup of exactly [`Family::SUBGROUP`] lanes.
    Subgroup,
    /// Tiles staged in workgroup memory with register blocking on top, for real GPUs; every adapter can run it.
    Shared,
}

impl Family {
    /// Lanes of a subgroup that [`Family::Subgroup`] is written for.
    pub const SUBGROUP: u32 = 8;

    /// Whether this program has that family at all: no page has, as browsers do not hand subgroups to wgpu yet.
    pub(crate) const IN_SUBGROUPS: bool = cfg!(not(target_arch = "wasm32"));

    /// The static table: by type of adapter, then by subgroup.
    pub fn of(adapter: &AdapterSummary) -> Self {
        match (adapter.is_software(), adapter.subgroup) {
            (false, _) => Self::Shared,
            (true, (Self::SUBGROUP, Self::SUBGROUP)) if Self::IN_SUBGROUPS => Self::Subgroup,
            (true, _) => Self::Register,
        }
    }

    /// What the environment variable `MEXHAT_FAMILY` asks for, or else the table's choice.
    ///
    /// # Errors
    /// No such family, or subgroups where the adapter has none of that size.
    pub(super) fn choose(adapter: &AdapterSummary) -> Result<Self> {
        let Some(text) = std::env::var("MEXHAT_FAMILY").ok().filter(|text| !text.is_empty()) else {
            return Ok(Self::of(adapter));
        };
        let family = text.parse()?;
        if family == Self::Subgroup && adapter.subgroup != (Self::SUBGROUP, Self::SUBGROUP) {
            return Err(Error::Usage(format!(
                "MEXHAT_FAMILY is 'subgroup', which needs subgroups of exactly {} lanes; '{}' has {} to {}; \
                 expected register or shared",
                Self::SUBGROUP,
                adapter.name,
                adapter.subgroup.0,
                adapter.subgroup.1
            )));
        }
        Ok(family)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register => "register",
            Self::Subgroup => "subgroup",
            Self::Shared => "shared",
        })
    }
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "register" => Ok(Self::Register),
            "subgroup" => Ok(Self::Subgroup),
            "shared" => Ok(Self::Shared),
            _ => Err(Error::Usage(format!(
                "MEXHAT_FAMILY is '{text}'; expected register, subgroup or shared, or leave it unset"
            ))),
        }
    }
}
