//! Nodes and initializers, one after the other.

use super::proto::{Attribute, AttributeType, DataType, Graph, Node, Tensor};

/// A graph that grows. Values are known by their names.
#[derive(Default)]
pub(super) struct Builder {
    pub graph: Graph,
    names: usize,
}

/// An attribute of a node.
pub(super) enum Attr<'a> {
    Float(f32),
    Int(i64),
    Ints(&'a [i64]),
}

impl Builder {
    /// A name that no other value has, with `stem` in it for people.
    fn fresh(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}:{}", self.names)
    }

    /// A tensor that belongs to the model.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name, dims, DataType::Float, bytes)
    }

    /// Whole numbers that belong to the model, such as places to cut at.
    pub fn integers(&mut self, stem: &str, values: &[i64]) -> String {
        let name = self.fresh(stem);
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(&name, &[values.len()], DataType::Int64, bytes)
    }

    fn initializer(&mut self, name: &str, dims: &[usize], kind: DataType, bytes: Vec<u8>) -> String {
        self.graph.initializer.push(Tensor {
            dims: dims.iter().map(|side| *side as i64).collect(),
            data_type: Some(kind as i32),
            name: Some(name.to_owned()),
            raw_data: Some(bytes),
        });
        name.to_owned()
    }

    /// A node with one result, which is returned.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: &[(&str, Attr<'_>)]) -> String {
        let output = self.fresh(name);
        self.graph.node.push(Node {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.clone()],
            name: Some(output.clone()),
            op_type: Some(op.to_owned()),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        });
        output
    }

    /// Gives a value the name by which users ask for it.
    pub fn rename(&mut self, value: &str, name: &str) {
        for node in &mut self.graph.node {
            let values = node.input.iter_mut().chain(&mut node.output);
            values.filter(|found| *found == value).for_each(|found| name.clone_into(found));
        }
    }
}

fn attribute(name: &str, value: &Attr<'_>) -> Attribute {
    let mut attribute = Attribute { name: Some(name.to_owned()), ..Attribute::default() };
    let kind = match value {
        Attr::Float(f) => {
            attribute.f = Some(*f);
            AttributeType::Float
        }
        Attr::Int(i) => {
            attribute.i = Some(*i);
            AttributeType::Int
        }
        Attr::Ints(ints) => {
            attribute.ints = ints.to_vec();
            AttributeType::Ints
        }
    };
    attribute.r#type = Some(kind as i32);
    attribute
}
