//! `mexhat-bindgen IN.wasm FOLDER [--for-page]`: writes `NAME.js` and `NAME_bg.wasm`. Started by `cargo xtask web`.
//!
//! With `--for-page`, where every byte is downloaded, the CPU twins are left out and the wasm is packed as
//! `NAME_bg.wasm.lzma`. With `MEXHAT_NAMES=1` it keeps the names of its functions and is also left unpacked, to see what takes the room.

mod pack;
mod shrink;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use walrus::ModuleConfig;
use wasm_bindgen_cli_support::Bindgen;

fn run(input: &str, folder: &Path, for_page: bool) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{input}: {error:#}");
    let named = std::env::var_os("MEXHAT_NAMES").is_some();
    let bytes = fs::read(input).map_err(|e| failed(&e))?;
    // What the compiler writes is valid, and wasm-bindgen's own marks are not always.
    let mut module = ModuleConfig::new().strict_validate(false).parse(&bytes).map_err(|e| failed(&e))?;
    if for_page {
        if shrink::drop_twins(&mut module) == 0 {
            return Err(failed(
                &"no function `twin` found; expected the names of functions in the file (strip = \"none\")",
            ));
        }
        shrink::show_plainly(&mut module);
    }
    let name = Path::new(input).file_stem().and_then(|name| name.to_str()).unwrap_or("mexhat");
    Bindgen::new()
        .input_bytes(name, module.emit_wasm())
        .typescript(false)
        .remove_producers_section(true)
        .remove_name_section(!named)
        .omit_default_module_path(false)
        .web(true)
        .and_then(|bindgen| bindgen.generate(folder))
        .map_err(|e| failed(&e))?;
    if !for_page {
        return Ok(());
    }

    let (script, wasm) = (folder.join(format!("{name}.js")), folder.join(format!("{name}_bg.wasm")));
    let text = fs::read_to_string(&script).map_err(|e| failed(&e))?;
    let bytes = fs::read(&wasm).map_err(|e| failed(&e))?;
    let (text, bytes) = pack::with_short_imports(text, &bytes).map_err(|e| failed(&e))?;
    fs::write(&script, text).map_err(|e| failed(&e))?;
    fs::write(folder.join(format!("{name}_bg.wasm.lzma")), pack::lzma(&bytes).map_err(|e| failed(&e))?)
        .map_err(|e| failed(&e))?;
    if named { fs::write(&wasm, bytes) } else { fs::remove_file(&wasm) }.map_err(|e| failed(&e))?;
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [input, folder] => run(input, Path::new(folder), false),
        [input, folder, "--for-page"] => run(input, Path::new(folder), true),
        _ => {
            eprintln!("usage: mexhat-bindgen IN.wasm FOLDER [--for-page]");
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
