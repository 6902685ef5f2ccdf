//! Numbers of Newton-Schulz iterations in files: a number, or "converge".

use super::Whitening;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;

pub(crate) fn serialize<S: Serializer>(iterations: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    match *iterations {
        Whitening::CONVERGE => serializer.serialize_str("converge"),
        number => serializer.serialize_u64(number as u64),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    deserializer.deserialize_any(Iterations)
}

/// By hand: what serde derives for one of two kinds of values is several times as large, which counts in the page.
struct Iterations;

impl Visitor<'_> for Iterations {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of iterations, or \"converge\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<usize, E> {
        // No number means what the word does.
        let number = usize::try_from(number).ok().filter(|number| *number != Whitening::CONVERGE);
        number.ok_or_else(|| E::custom("expected fewer iterations"))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<usize, E> {
        u64::try_from(number)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            .and_then(|number| self.visit_u64(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
        if text == "converge" { Ok(Whitening::CONVERGE) } else { Err(E::invalid_value(Unexpected::Str(text), &self)) }
    }
}
