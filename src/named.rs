//! Options that are one of a few names.

use crate::Error;

/// An enum whose variants have names: `FromStr` with an error that lists them, `Display`, serde.
macro_rules! named {
    ($(#[$doc:meta])* $vis:vis enum $name:ident: $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::named::unknown($what, text, &[$($text),*])),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        // serde's own would bring a visitor for each of these enums, which every visitor of a page would download.
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use named;

/// There is no `what` of that name.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    Error::Usage(format!("unknown {what} '{name}'; expected one of {}", known.join(", ")))
}
