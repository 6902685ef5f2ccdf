//! Where in a TOML file a mistake is: the innermost layer that cannot be read, its key, and their line. What reads TOML
//! tells the line of the outermost layer alone, as layers are read through values without places.

use crate::nn::{Layer, Layers, Node, named};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Characters of a line that are shown on either side of a mistake.
const AROUND: usize = 80;

/// What is wrong, and at which byte of the text.
struct Fault {
    at: usize,
    what: String,
}

/// What is wrong with `text`, which is no `T`: line, column and key, and the line itself. Names are in plain quotes,
/// because the program takes those in backticks for its own options.
pub(super) fn mistake<T: DeserializeOwned>(text: &str, error: &toml::de::Error) -> String {
    let found = match DeTable::parse(text) {
        Ok(tree) => {
            let layers = tree.get_ref().iter().filter(|(key, _)| key.get_ref() == "layers");
            let inner = layers.filter_map(|(_, value)| in_layers(value)).next();
            inner.or_else(|| in_table(tree.get_ref(), 0, &read::<T>))
        }
        Err(error) => error.span().map(|span| Fault { at: span.start, what: error.message().to_owned() }),
    };
    let found = found
        .unwrap_or_else(|| Fault { at: error.span().map_or(0, |span| span.start), what: error.message().to_owned() });
    // Layers are read through JSON, which has no such numbers.
    let what = found.what.replace("invalid type: null", "no finite number");
    shown(text, &Fault { what, ..found }).replace('`', "'")
}

fn shown(text: &str, Fault { at, what }: &Fault) -> String {
    let line = line_of(text, *at);
    let before = text.get(..*at).unwrap_or(text);
    let begun = before.rsplit('\n').next().unwrap_or_default();
    let column = begun.chars().count() + 1;
    let whole = text.split('\n').nth(line - 1).unwrap_or_default().trim_end();
    let margin = " ".repeat(line.to_string().len());
    // Of a long line, what stands around the mistake.
    let left = column.saturating_sub(1 + AROUND);
    let begin = if left > 0 { "..." } else { "" };
    let end = if whole.chars().count() > column + AROUND { "..." } else { "" };
    let part: String = whole.chars().skip(left).take(column + AROUND - left).collect();
    let before = begin.chars().chain(begun.chars().skip(left));
    let blank: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
    format!("line {line}, column {column}: {what}\n{margin} |\n{line} | {begin}{part}{end}\n{margin} | {blank}^")
}

/// The number of the line of byte `at`, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn read<T: DeserializeOwned>(table: DeTable<'_>) -> Result<(), String> {
    let value = Spanned::new(0..0, DeValue::Table(table));
    T::deserialize(ValueDeserializer::from(value)).map(drop).map_err(|error| error.message().to_owned())
}

/// The fault in a list of layers, or of lists of them.
fn in_layers(value: &Spanned<DeValue<'_>>) -> Option<Fault> {
    value.get_ref().as_array()?.iter().find_map(|item| match item.get_ref() {
        DeValue::Array(_) => in_layers(item),
        DeValue::Table(layer) => {
            read::<Node>(layer.clone()).err()?;
            layer
                .iter()
                .find_map(|(_, value)| in_layers(value))
                .or_else(|| in_table(layer, item.span().start, &read::<Node>))
        }
        _ => None,
    })
}

/// What a value would be read from, and what is wrong with it.
type Reader<'a, 'i> = &'a dyn Fn(DeTable<'i>) -> Result<(), String>;

/// The fault in a table that begins at byte `at`: one of its keys, or the table itself where one is missing.
fn in_table<'i>(table: &DeTable<'i>, at: usize, read: Reader<'_, 'i>) -> Option<Fault> {
    let what = read(table.clone()).err()?;
    let with = |wanted: &dyn Fn(&str) -> bool| -> DeTable<'i> {
        let kept = table.iter().filter(|(key, _)| wanted(key.get_ref()));
        kept.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let faulty = |key: &Spanned<toml::de::DeString<'i>>, what: &str| {
        let named = what.contains(&format!("`{}`", key.get_ref()));
        let what = if named { what.to_owned() } else { format!("`{}`: {what}", key.get_ref()) };
        Some(Fault { at: key.span().start, what })
    };
    let unfinished = |what: &str| what.starts_with("missing field");
    let strange = |what: &str| what.strip_prefix("unknown field `")?.split('`').next().map(str::to_owned);
    // The type first: without it no other key means anything.
    let kind = table.iter().find(|(key, _)| key.get_ref() == "type");
    let wrong = read(with(&|key| key == "type")).err().filter(|own| !unfinished(own) && strange(own).is_none());
    if let (Some((key, _)), Some(own)) = (kind, wrong) {
        return faulty(key, &own);
    }
    // Then each key beside the type alone.
    for (key, value) in table.iter().filter(|(key, _)| key.get_ref() != "type") {
        let Err(own) = read(with(&|other| other == "type" || other == key.get_ref())) else { continue };
        if let DeValue::Table(inner) = value.get_ref() {
            let inside = |inner: DeTable<'i>| {
                let mut all = with(&|other| other == "type");
                all.insert(key.clone(), Spanned::new(value.span(), DeValue::Table(inner)));
                read(all)
            };
            if let Some(fault) = in_table(inner, key.span().start, &inside).filter(|fault| !unfinished(&fault.what)) {
                return Some(fault);
            }
        }
        if !unfinished(&own) && strange(&own).is_none_or(|name| key.get_ref() == &name) {
            return faulty(key, &own);
        }
    }
    if let Some((key, _)) = table.iter().find(|(key, _)| strange(&what).is_some_and(|name| key.get_ref() == &name)) {
        return faulty(key, &what);
    }
    // What was hidden by a missing key before it: without it the others are fine.
    let alone = table.iter().find(|(key, _)| read(with(&|other| other != key.get_ref())).is_ok());
    alone.and_then(|(key, _)| faulty(key, &what)).or(Some(Fault { at, what }))
}

/// Where a layer and its keys stand.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Whole, as its tensors begin.
    name: String,
    line: usize,
    /// With their lines; those of its whitening, too.
    keys: Vec<(String, usize)>,
}

/// Where all layers of a file stand that can be read; the last one is the file itself.
pub(super) fn places(text: &str, layers: &Layers) -> Vec<Place> {
    let Ok(tree) = DeTable::parse(text) else { return Vec::new() };
    let mut found = Vec::new();
    let list = tree.get_ref().iter().find(|(key, _)| key.get_ref() == "layers");
    list.into_iter().for_each(|(_, list)| list_places(text, layers, list.get_ref(), ("", ""), &mut found));
    found.push(Place { name: String::new(), line: 1, keys: keys(text, tree.get_ref()) });
    found
}

fn list_places(text: &str, layers: &Layers, list: &DeValue<'_>, (prefix, path): (&str, &str), found: &mut Vec<Place>) {
    let Some(list) = list.as_array() else { return };
    for ((name, node), item) in named(layers, prefix, path).zip(list) {
        let Some(table) = item.get_ref().as_table() else { continue };
        let of = |wanted: &str| table.iter().find(|(key, _)| key.get_ref() == wanted).map(|(_, value)| value.get_ref());
        let mut inside = |key: &str, layers: &Layers, path: &str| {
            of(key).into_iter().for_each(|list| list_places(text, layers, list, (&name, path), found));
        };
        match &node.layer {
            Layer::Residual { body, shortcut } | Layer::DualPath { body, shortcut, .. } => {
                inside("body", body, "");
                inside("shortcut", shortcut, "shortcut_");
            }
            Layer::Gate { gate } => inside("gate", gate, ""),
            Layer::Sequence { layers } => inside("layers", layers, ""),
            #[cfg(reference)]
            Layer::Auxiliary { head, .. } => inside("head", head, ""),
            Layer::Concat { branches } => {
                let lists = of("branches").and_then(DeValue::as_array);
                for (i, (branch, list)) in branches.iter().zip(lists.into_iter().flatten()).enumerate() {
                    list_places(text, branch, list.get_ref(), (&format!("{name}.{i}"), ""), found);
                }
            }
            _ => {}
        }
        found.push(Place { name, line: line_of(text, item.span().start), keys: keys(text, table) });
    }
}

fn keys(text: &str, table: &DeTable<'_>) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(inner) => found.extend(keys(text, inner)),
            _ => found.push((key.get_ref().to_string(), line_of(text, key.span().start))),
        }
    }
    found
}

/// The line of the layer that `what`, an error of [`Network::build`](crate::nn::Network::build), names: of its key
/// where `what` begins with one.
pub(super) fn line(what: &str, places: &[Place]) -> Option<usize> {
    let name = ["layer '", "layers are called '", "the head '"]
        .iter()
        .find_map(|before| what.split_once(before))?
        .1
        .split('\'')
        .next()?;
    let of = |name: &str| places.iter().rfind(|place| place.name == name);
    let layer = of(name)?;
    let key = what.split_once(": ").and_then(|(_, what)| what.split(' ').next()).unwrap_or_default();
    let told = |place: &Place| place.keys.iter().find(|(name, _)| name == key).map(|(_, line)| *line);
    told(layer).or_else(|| of("").and_then(told)).or(Some(layer.line))
}
