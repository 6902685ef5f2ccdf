//! Keys that a type does not know. serde refuses them of plain structures, but not of those that hold others flattened.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Large parts of the metadata that have checks of their own, and are not read again for each key.
const APART: [&str; 3] = ["network", "spec", "run"];

/// A key of `object` that `T` passes over. No field takes both an object and a truth value: a key that may stand for
/// either belongs to no field.
pub(super) fn stranger<T: DeserializeOwned>(object: Option<&Map<String, Value>>) -> Option<String> {
    let mut probed = object?.clone();
    let passed_over = |probed: &Map<String, Value>| serde_json::from_value::<T>(Value::Object(probed.clone())).is_ok();
    for key in object?.keys().filter(|key| !APART.contains(&key.as_str())) {
        let any = [json!({"?": []}), json!(true)].into_iter().all(|other| {
            probed.insert(key.clone(), other);
            passed_over(&probed)
        });
        if any {
            return Some(key.clone());
        }
        probed.insert(key.clone(), object?[key].clone());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Options;

    #[test]
    fn no_option_is_a_stranger_and_every_other_key_is() {
        let Value::Object(options) = serde_json::to_value(Options::default()).unwrap() else { panic!("no object") };
        assert_eq!(stranger::<Options>(Some(&options)), None);
        for key in ["a", "learning_rate", "zz"] {
            for value in [json!(1), json!(null), json!({}), json!([true])] {
                let mut others = options.clone();
                others.insert(key.into(), value);
                assert_eq!(stranger::<Options>(Some(&others)).as_deref(), Some(key));
            }
        }
        assert_eq!(stranger::<Options>(None), None);
    }
}
