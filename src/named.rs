//! Options that are one of a few names.

/// An enum whose variants have names: `FromStr` with an error that lists them, `Display`, serde.
macro_rules! named {
    ($(#[$doc:meta])* $vis:vis enum $name:ident: $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),* }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => {
                        let known = [$($text),*].join(", ");
                        Err($crate::Error::Usage(format!(concat!("unknown ", $what, " '{}'; expected one of {}"), text, known)))
                    }
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $text),* })
            }
        }
    };
}

pub(crate) use named;
