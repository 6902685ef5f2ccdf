//! Plain data as text of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

/// `value` as text, without spaces.
///
/// ```
/// assert_eq!(mexhat::json::text(&(1, 0.1f32, 1e-9, "x"))?, r#"[1,0.1,1e-9,"x"]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// The value has maps whose keys are no texts.
pub fn text(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Floats))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What `text` says, by way of [`serde_json::Value`]: what is read in a page is read from that alone, so that a visitor
/// downloads one reader of each type and not two.
///
/// # Errors
/// It is no JSON, or says something else.
pub fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_value(serde_json::from_str(text)?)
}

/// The number that `text` is. In a page it is one of JSON, which has no `+1` or `.5`: what the standard library reads
/// `f32` with is 14 KB that every visitor would download.
pub(crate) fn number(text: &str) -> Option<f32> {
    #[cfg(target_arch = "wasm32")]
    return serde_json::from_str::<serde_json::Value>(text).ok()?.as_f64().map(|number| number as f32);
    #[cfg(not(target_arch = "wasm32"))]
    text.parse().ok()
}

/// Writes floats as the standard library does, in the fewest digits that give them back, too: what else would write
/// them brings along 10 KB of tables that every visitor of a page would download.
struct Floats;

impl Formatter for Floats {
    fn write_f32<W: ?Sized + Write>(&mut self, to: &mut W, value: f32) -> io::Result<()> {
        write!(to, "{value:?}")
    }

    fn write_f64<W: ?Sized + Write>(&mut self, to: &mut W, value: f64) -> io::Result<()> {
        write!(to, "{value:?}")
    }
}
