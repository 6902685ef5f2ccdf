//! Networks as JavaScript describes them.

use mexhat::data::Normalize;
use mexhat::models::{self, ModelOptions, NetworkFile};
use mexhat::nn::Network;
use mexhat::train::{NetOptions, WhiteningPreset};
use mexhat::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What errors call a description.
const NAME: &str = "the network";

/// The network that `text` describes, JSON with one of
///
/// - `layers`, and what else a file of `mexhat train --model FILE` may have,
/// - `toml`, the text of such a file,
/// - `model`, a name, with the options of `mexhat train` for networks (`norm`, `whitening`, `block`, ...),
///
/// and with `input`, `classes`, `seed` and `normalize` as one likes.
///
/// # Errors
/// A key is unknown or has a value that it may not have.
pub fn network(text: &str) -> Result<(Network, Option<Normalize>)> {
    let all: Value = serde_json::from_str(text).map_err(|e| Error::input(NAME, e.to_string()))?;
    let Value::Object(mut all) = all else {
        return Err(Error::Usage(format!("{NAME}: expected an object with 'layers', 'toml' or 'model', found {all}")));
    };
    let usual = ModelOptions::default();
    let normalize: Option<Normalize> = taken(&mut all, "normalize")?;
    let input: Option<[usize; 3]> = taken(&mut all, "input")?;
    let classes = taken(&mut all, "classes")?.unwrap_or(usual.classes);
    let seed = taken(&mut all, "seed")?.unwrap_or(usual.seed);
    if let Some(model) = taken::<String>(&mut all, "model")? {
        let options = named(all, model)?;
        let network =
            models::network(&options.model, &options.model_options(input.unwrap_or(usual.input), classes, seed))?;
        return Ok((network, normalize));
    }
    let file = match taken::<String>(&mut all, "toml")? {
        Some(text) => {
            only(&all, &[])?;
            NetworkFile::parse(NAME, &text)?
        }
        None => NetworkFile::parse_json(NAME, &Value::Object(all).to_string())?,
    };
    let input = input.or(file.input()).unwrap_or(usual.input);
    Ok((file.network(&ModelOptions { input, classes, seed, ..usual })?, normalize))
}

/// The options of a network that has a name: those of a preset, and on them what is given.
fn named(mut given: Map<String, Value>, model: String) -> Result<NetOptions> {
    let preset = taken(&mut given, "whitening")?.unwrap_or(WhiteningPreset::Paper);
    let usual = NetOptions { model, ..NetOptions::default() }.with_whitening(preset);
    let Ok(Value::Object(mut options)) = serde_json::to_value(&usual) else { return Ok(usual) };
    // Written where it is another than usual.
    options.insert("num_groups".into(), usual.num_groups.into());
    only(&given, &options.keys().map(String::as_str).collect::<Vec<_>>())?;
    options.extend(given);
    let options: NetOptions = serde_json::from_value(Value::Object(options)).map_err(|e| wrong("an option", &e))?;
    options.validate()?;
    Ok(options)
}

/// What stands under `key`, which is then gone; null is nothing.
fn taken<T: DeserializeOwned>(given: &mut Map<String, Value>, key: &str) -> Result<Option<T>> {
    let found = given.remove(key).unwrap_or_default();
    serde_json::from_value(found).map_err(|e| wrong(&format!("'{key}'"), &e))
}

fn only(given: &Map<String, Value>, known: &[&str]) -> Result<()> {
    let Some(key) = given.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let more = known.iter().map(|known| format!(", {known}")).collect::<String>();
    Err(Error::Usage(format!("{NAME}: unknown key '{key}'; expected some of input, classes, seed, normalize{more}")))
}

fn wrong(what: &str, error: &serde_json::Error) -> Error {
    Error::Usage(format!("{NAME}: {what}: {error}"))
}
