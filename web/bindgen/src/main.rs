//! `mexhat-bindgen IN.wasm FOLDER [--without-twins]`: writes `NAME.js` and `NAME_bg.wasm` for a page. Started by `cargo xtask web`.
//!
//! With `MEXHAT_NAMES=1` the wasm keeps the names of its functions, to see what takes the room.

use std::path::Path;
use std::process::ExitCode;
use walrus::{FunctionBuilder, FunctionKind, Module, ModuleConfig};
use wasm_bindgen_cli_support::Bindgen;

/// A page never runs the CPU twins, but the compiler cannot know it: they stand in the tables of a trait. Their bodies are
/// replaced by a trap, and what only they have used goes too. Returns how many there were.
fn drop_twins(module: &mut Module) -> usize {
    let twin = |name: &str| format!("{:#}", rustc_demangle::demangle(name)).ends_with("::twin");
    let ids: Vec<_> = module.funcs.iter_local().map(|(id, _)| id).collect();
    let mut dropped = 0;
    for id in ids {
        let function = module.funcs.get(id);
        if !function.name.as_deref().is_some_and(twin) {
            continue;
        }
        let ty = module.types.get(function.ty());
        let (params, results) = (ty.params().to_vec(), ty.results().to_vec());
        let args = params.iter().map(|param| module.locals.add(*param)).collect();
        let mut builder = FunctionBuilder::new(&mut module.types, &params, &results);
        builder.func_body().unreachable();
        module.funcs.get_mut(id).kind = FunctionKind::Local(builder.local_func(args));
        dropped += 1;
    }
    walrus::passes::gc::run(module);
    dropped
}

fn run(input: &str, folder: &str, without_twins: bool) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{input}: {error:#}");
    let bytes = std::fs::read(input).map_err(|e| failed(&e))?;
    // What the compiler writes is valid, and wasm-bindgen's own marks are not always.
    let mut module = ModuleConfig::new().strict_validate(false).parse(&bytes).map_err(|e| failed(&e))?;
    if without_twins && drop_twins(&mut module) == 0 {
        return Err(failed(
            &"no function `twin` found; expected the names of functions in the file (strip = \"none\")",
        ));
    }
    let name = Path::new(input).file_stem().and_then(|name| name.to_str()).unwrap_or("mexhat");
    Bindgen::new()
        .input_bytes(name, module.emit_wasm())
        .typescript(false)
        .remove_producers_section(true)
        .remove_name_section(std::env::var_os("MEXHAT_NAMES").is_none())
        .omit_default_module_path(false)
        .web(true)
        .and_then(|bindgen| bindgen.generate(folder))
        .map_err(|e| failed(&e))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [input, folder] => run(input, folder, false),
        [input, folder, "--without-twins"] => run(input, folder, true),
        _ => {
            eprintln!("usage: mexhat-bindgen IN.wasm FOLDER [--without-twins]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mexhat-bindgen: {error}");
            ExitCode::FAILURE
        }
    }
}
