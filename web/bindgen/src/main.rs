//! `mexhat-bindgen IN.wasm FOLDER`: writes `NAME.js` and `NAME_bg.wasm`. Started by `cargo xtask web`.

use std::path::Path;
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn run(input: &str, folder: &Path) -> Result<(), String> {
    Bindgen::new()
        .input_path(input)
        .typescript(false)
        .remove_producers_section(true)
        // A third of the download, and no page needs it.
        .remove_name_section(true)
        .omit_default_module_path(false)
        .web(true)
        .and_then(|bindgen| bindgen.generate(folder))
        .map_err(|error| format!("{input}: {error:#}"))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder] = &args[..] else {
        eprintln!("usage: mexhat-bindgen IN.wasm FOLDER");
        return ExitCode::from(2);
    };
    match run(input, Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mexhat-bindgen: {error}");
            ExitCode::FAILURE
        }
    }
}
