//! What a step is given: exactly the elements of its inputs, each in its place.

mod common;

use common::gpu;
use mexhat::Result;
use mexhat::ops;
use mexhat::tape::{Compiled, DType, Session, State, Tape, Type, Var};
use std::collections::HashMap;

/// Three numbers and five, each doubled: neither input fills its buffer, which is a multiple of 16 bytes.
fn two_inputs() -> Result<Compiled> {
    let mut tape = Tape::new();
    for (label, shape) in [("a", [1, 3]), ("b", [1, 5])] {
        let input = tape.input(label, &shape, DType::F32);
        let packed = ops::to_vec4(&mut tape, input)?;
        let read = ops::add(&mut tape, packed, packed)?;
        tape.output(read);
    }
    Ok(Session::new(gpu(), &State::new())?.compile(&[&tape])?.remove(0))
}

#[test]
fn every_input_lies_in_its_place() -> Result<()> {
    let mut step = two_inputs()?;
    let (a, b) = ([1.0f32, 2.0, 3.0], [4.0f32, 5.0, 6.0, 7.0, 8.0]);
    pollster::block_on(step.submit(&[bytemuck::cast_slice(&a), bytemuck::cast_slice(&b)]))?;
    let (_, outputs) = pollster::block_on(step.take())?.expect("a step was submitted");
    assert_eq!(outputs, [vec![2.0, 4.0, 6.0], vec![8.0, 10.0, 12.0, 14.0, 16.0]]);
    Ok(())
}

#[test]
fn inputs_of_another_length_are_refused_by_name() -> Result<()> {
    let mut step = two_inputs()?;
    let bytes = [0u8; 64];
    for (lengths, expected) in [
        ([12, 16], "the input 'b' of a step: expected 20 bytes, found 16"),
        // As long as the buffer, and longer than the input.
        ([16, 20], "the input 'a' of a step: expected 12 bytes, found 16"),
        ([0, 20], "the input 'a' of a step: expected 12 bytes, found 0"),
        ([12, 24], "the input 'b' of a step: expected 20 bytes, found 24"),
    ] {
        let outcome = pollster::block_on(step.submit(&lengths.map(|length| &bytes[..length])));
        let found = outcome.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(found.contains(expected), "{lengths:?}: '{found}'");
    }
    let outcome = pollster::block_on(step.submit(&[&bytes[..12]]));
    let found = outcome.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(found.contains(r#"["a", "b"], found 1"#), "'{found}'");
    // Nothing was begun: the next step is the first.
    assert_eq!(pollster::block_on(step.submit(&[&bytes[..12], &bytes[..20]]))?, 0);
    Ok(())
}

#[test]
fn values_of_an_input_in_vectors_of_four_are_row_major() -> Result<()> {
    let mut tape = Tape::new();
    let x = tape.resident("x", Type::vec4(&[1, 3, 1, 2]), false);
    let doubled = ops::add(&mut tape, x, x)?;
    tape.output(doubled);
    let mut step = Session::new(gpu(), &State::new())?.compile(&[&tape])?.remove(0);
    let values: HashMap<Var, Vec<f32>> = [(x, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])].into();
    assert_eq!(pollster::block_on(step.run(&values))?, [[2.0, 4.0, 6.0, 8.0, 10.0, 12.0]]);
    Ok(())
}
