//! The one error type: what failed, what was expected, what was found, what to do.

use std::path::{Path, PathBuf};

/// Result of everything in this crate that can fail.
///
/// ```
/// fn half(text: &str) -> mexhat::Result<f64> {
///     let number: f64 = text.parse().map_err(|_| mexhat::Error::Usage(format!("'{text}' is no number")))?;
///     Ok(number / 2.0)
/// }
/// assert_eq!(half("3")?, 1.5);
/// assert_eq!(half("three").unwrap_err().to_string(), "'three' is no number");
/// # Ok::<(), mexhat::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by who can mend it.
///
/// Messages are whole sentences for the person at the terminal; they name the thing, what was
/// expected, what was found and what to do.
///
/// ```
/// use mexhat::{Error, data};
/// match data::load("no/such/folder", &Default::default()) {
///     Ok(splits) => println!("{} images", splits.train.len()),
///     // Other arguments help.
///     Err(Error::Usage(what)) => assert!(what.starts_with("unknown data set 'no/such/folder'")),
///     Err(Error::Input { path, what }) => eprintln!("look at {}: {what}", path.display()),
///     Err(error) => eprintln!("{error}"), // every message says what to do
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option, name or number given by the caller is not usable.
    #[error("{0}")]
    Usage(String),
    /// A file or folder does not hold what it should.
    #[error("{}: {what}", path.display())]
    Input {
        /// The file or folder.
        path: PathBuf,
        /// What was expected, what was found, what to do.
        what: String,
    },
    /// Shapes do not fit an operation.
    #[error("{op}: {what}")]
    Shape {
        /// The operation, under the name it has on the tape.
        op: &'static str,
        /// Both shapes and the cure.
        what: String,
    },
    /// No usable GPU adapter; the text says what to install.
    #[error("{0}")]
    NoAdapter(String),
    /// The adapter offers less than is needed.
    #[error("the adapter '{adapter}' offers {limit} = {offer}, but {need} is needed, {} more; {cure}", need.saturating_sub(*offer))]
    Limit {
        /// Adapter name.
        adapter: String,
        /// Name of the WebGPU limit.
        limit: &'static str,
        /// What is needed.
        need: u64,
        /// What the adapter offers.
        offer: u64,
        /// What to do about it.
        cure: String,
    },
    /// There is less memory than is needed.
    #[error(
        "{owner} has at most {} MiB of memory to give, but {} MiB are needed, {} MiB more; {cure}",
        offer >> 20,
        need.div_ceil(1 << 20),
        (need.saturating_sub(*offer)).div_ceil(1 << 20)
    )]
    Memory {
        /// Whose memory it is: an adapter's or the system's.
        owner: String,
        /// Bytes that are needed.
        need: u64,
        /// Bytes that are there.
        offer: u64,
        /// What to do about it.
        cure: String,
    },
    /// The GPU went away (driver reset, watchdog, unplugged).
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// The GPU refused a command; with a correct engine this means out of memory.
    #[error("the GPU reported an error: {0}")]
    Gpu(String),
    /// A run that started well and failed, such as a loss that is no longer a number.
    #[error("{0}")]
    Run(String),
}

impl Error {
    /// An [`Error::Input`] for `path`.
    pub fn input(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Input { path: path.as_ref().to_owned(), what: what.into() }
    }

    /// An [`Error::Shape`] for the operation `op`.
    pub fn shape(op: &'static str, what: impl Into<String>) -> Self {
        Self::Shape { op, what: what.into() }
    }

    /// Exit code of the program: 2 for what the user can mend by other arguments or files, 1 for a failed run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DeviceLost(_) | Self::Gpu(_) | Self::Run(_) => 1,
            _ => 2,
        }
    }
}
