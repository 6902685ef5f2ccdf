//! Opening an adapter: the engine with what adapters of its kind are given.

use crate::gpu::{Gpu, KernelCache, choose_adapter};
use crate::software;
use crate::{Error, Result};

/// What is asked for when an adapter is opened.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// An index, or a part of a name or backend; the default one otherwise.
    pub device: Option<String>,
    /// Where compiled kernels are kept.
    pub cache: KernelCache,
    /// Kernels check their indices, to look for a stray one.
    pub checked: bool,
    /// Other kernels than the adapter's own.
    pub wish: software::Wish,
    /// A pass over the text of every kernel in place of the adapter's own: tests break kernels by it.
    pub text: Option<fn(String) -> String>,
}

impl OpenOptions {
    /// As `MEXHAT_DEVICE`, `MEXHAT_CACHE` (a folder, or `off`), `MEXHAT_CHECKED`, `MEXHAT_FAMILY` and `MEXHAT_LOADS`
    /// say, which `read` finds; what is not there or empty stays the default.
    ///
    /// # Errors
    /// A variable has a value that is none of those it may have.
    pub fn of_variables(read: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let read = |name: &str| read(name).filter(|text| !text.is_empty());
        fn parsed<T: std::str::FromStr<Err = Error>>(name: &str, text: Option<String>) -> Result<Option<T>> {
            let parse = |text: String| text.parse().map_err(|e| Error::Usage(format!("{name}: {e}")));
            text.map(parse).transpose()
        }
        Ok(Self {
            device: read("MEXHAT_DEVICE"),
            cache: match read("MEXHAT_CACHE") {
                None => KernelCache::User,
                Some(text) if text == "off" => KernelCache::Off,
                Some(folder) => KernelCache::Folder(folder.into()),
            },
            checked: read("MEXHAT_CHECKED").is_some(),
            wish: software::Wish {
                family: parsed("MEXHAT_FAMILY", read("MEXHAT_FAMILY"))?,
                loads: parsed("MEXHAT_LOADS", read("MEXHAT_LOADS"))?,
            },
            text: None,
        })
    }
}

impl Gpu {
    /// Opens the adapter that `choice` names (see `mexhat devices`), or the default one.
    ///
    /// # Errors
    /// No adapter at all (with what to install), no adapter of that name, or limits below WebGPU's.
    pub async fn open_async(choice: Option<&str>) -> Result<Self> {
        Self::open_with_async(OpenOptions { device: choice.map(str::to_owned), ..Default::default() }).await
    }

    /// [`Gpu::open_async`], blocking.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(choice: Option<&str>) -> Result<Self> {
        pollster::block_on(Self::open_async(choice))
    }

    /// [`Gpu::open_async`] with other options.
    ///
    /// # Errors
    /// As [`Gpu::open_async`], or the adapter cannot do what is asked for.
    #[doc(hidden)]
    pub async fn open_with_async(options: OpenOptions) -> Result<Self> {
        let (summary, adapter) = choose_adapter(options.device.as_deref()).await?;
        let mut profile = software::profile(&summary, options.wish)?;
        profile.text = options.text.unwrap_or(profile.text);
        Self::on((summary, adapter), profile, options.cache, options.checked).await
    }

    /// [`Gpu::open_with`] as variables say; see [`OpenOptions::of_variables`].
    ///
    /// # Errors
    /// As [`Gpu::open_with`], or a variable has a value that it may not have.
    #[doc(hidden)]
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open_by(read: impl Fn(&str) -> Option<String>) -> Result<Self> {
        Self::open_with(OpenOptions::of_variables(read)?)
    }

    /// [`Gpu::open`] with other options.
    ///
    /// # Errors
    /// As [`Gpu::open_async`], or the adapter cannot do what is asked for.
    #[doc(hidden)]
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open_with(options: OpenOptions) -> Result<Self> {
        pollster::block_on(Self::open_with_async(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<OpenOptions> {
        let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
        OpenOptions::of_variables(|name| found(name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn variables_become_options_or_errors_that_name_them() -> Result<()> {
        let options = of(&[("MEXHAT_DEVICE", "1"), ("MEXHAT_CACHE", "off"), ("MEXHAT_LOADS", "")])?;
        assert_eq!(options.device.as_deref(), Some("1"));
        assert!(options.cache == KernelCache::Off && !options.checked && options.wish.loads.is_none());
        let found = of(&[("MEXHAT_FAMILY", "huge")]).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(found.contains("MEXHAT_FAMILY") && found.contains("'huge'") && found.contains("register"), "'{found}'");
        Ok(())
    }
}
