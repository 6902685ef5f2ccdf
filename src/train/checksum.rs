//! The checksum of a saved network: over what it says, not how the file spells it, so that a tool that reads it and
//! writes it again changes nothing.

use crate::{Error, Result};
use safetensors::tensor::TensorView;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 of all tensors (by name: type, shape, bytes) and of the metadata `text` but its own `checksum`.
///
/// # Errors
/// The metadata is no JSON object.
pub fn checksum<'a, 'b>(
    text: &str,
    tensors: impl Iterator<Item = (&'a str, impl std::borrow::Borrow<TensorView<'b>>)>,
) -> Result<String> {
    let mut metadata: Value =
        serde_json::from_str(text).map_err(|e| Error::Run(format!("the metadata is no JSON object: {e}")))?;
    if let Some(object) = metadata.as_object_mut() {
        object.remove("checksum");
    }
    let mut hash = Sha256::new();
    absorb(&metadata, &mut hash);
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_unstable_by_key(|(name, _)| *name);
    for (name, view) in tensors {
        let view = view.borrow();
        hash.update(format!("\n{name:?} {:?} {:?}\n", view.dtype(), view.shape()));
        hash.update(view.data());
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Hashes JSON with the keys of objects in order. Depth is bounded by the parser.
fn absorb(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Array(items) => {
            hash.update("[");
            items.iter().for_each(|item| {
                absorb(item, hash);
                hash.update(",");
            });
            hash.update("]");
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            hash.update("{");
            for (name, item) in fields {
                hash.update(format!("{name:?}:"));
                absorb(item, hash);
                hash.update(",");
            }
            hash.update("}");
        }
        // Numbers are spelled in many ways, texts and the rest in one.
        Value::Number(number) => match number.as_f64() {
            Some(x) if !number.is_u64() && !number.is_i64() => hash.update(format!("{x:e}")),
            _ => hash.update(number.to_string()),
        },
        other => hash.update(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::Dtype;

    fn sum(text: &str, name: &str, bytes: &[u8]) -> String {
        let view = TensorView::new(Dtype::F32, vec![1], bytes).unwrap();
        checksum(text, [(name, &view)].into_iter()).unwrap()
    }

    #[test]
    fn it_is_of_the_meaning_and_of_every_bit() {
        let known = sum(r#"{"a":1e-5,"b":[1,"x"],"checksum":""}"#, "w", &[0; 4]);
        assert_eq!(known, sum("{\"b\": [1, \"x\"], \"checksum\": \"y\",\n \"a\": 0.00001}", "w", &[0; 4]));
        for bit in 0..32 {
            let mut bytes = [0; 4];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(known, sum(r#"{"a":1e-5,"b":[1,"x"]}"#, "w", &bytes));
        }
        for other in [r#"{"a":1e-5,"b":[1,"y"]}"#, r#"{"a":2e-5,"b":[1,"x"]}"#, r#"{"c":1e-5,"b":[1,"x"]}"#] {
            assert_ne!(known, sum(other, "w", &[0; 4]), "{other}");
        }
        assert_ne!(known, sum(r#"{"a":1e-5,"b":[1,"x"]}"#, "v", &[0; 4]));
    }
}
