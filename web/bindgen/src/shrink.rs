//! What a page does without, although the compiler cannot know it.

use walrus::{FunctionBuilder, FunctionId, FunctionKind, InstrSeqBuilder, LocalId, Module};

/// The name of a function as it is written in Rust.
fn name_of(module: &Module, id: FunctionId) -> Option<String> {
    module.funcs.get(id).name.as_deref().map(|name| format!("{:#}", rustc_demangle::demangle(name)))
}

/// Gives `id` another body, which is written by `body` from its arguments.
fn replace(module: &mut Module, id: FunctionId, body: impl FnOnce(&mut InstrSeqBuilder, &[LocalId])) {
    let ty = module.types.get(module.funcs.get(id).ty());
    let (params, results) = (ty.params().to_vec(), ty.results().to_vec());
    let args: Vec<_> = params.iter().map(|param| module.locals.add(*param)).collect();
    let mut builder = FunctionBuilder::new(&mut module.types, &params, &results);
    body(&mut builder.func_body(), &args);
    module.funcs.get_mut(id).kind = FunctionKind::Local(builder.local_func(args));
}

/// A page never runs the CPU twins, but the compiler cannot know it: they stand in the tables of a trait. Their bodies are
/// replaced by a trap, and what only they have used goes too. Returns how many there were.
pub fn drop_twins(module: &mut Module) -> usize {
    let ids: Vec<_> = module.funcs.iter_local().map(|(id, _)| id).collect();
    let twins: Vec<_> =
        ids.into_iter().filter(|id| name_of(module, *id).is_some_and(|name| name.ends_with("::twin"))).collect();
    for id in &twins {
        replace(module, *id, |body, _| {
            body.unreachable();
        });
    }
    walrus::passes::gc::run(module);
    twins.len()
}

/// Texts in messages for developers are shown as they are, instead of with escapes, which takes tables of Unicode.
pub fn show_plainly(module: &mut Module) {
    for kind in ["str", "char"] {
        let find = |how: &str| {
            let wanted = format!("<{kind} as core::fmt::{how}>::fmt");
            module.funcs.iter_local().map(|(id, _)| id).find(|id| name_of(module, *id).as_ref() == Some(&wanted))
        };
        // Where nothing shows one of them, there is nothing to do.
        let (Some(escaped), Some(plain)) = (find("Debug"), find("Display")) else { continue };
        replace(module, escaped, |body, args| {
            for arg in args {
                body.local_get(*arg);
            }
            body.call(plain);
        });
    }
    walrus::passes::gc::run(module);
}
