//! What is downloaded, made small.

use lzma_rust2::{LzmaOptions, LzmaWriter};
use std::io::Write;
use walrus::ModuleConfig;

/// The names by which script and wasm know each other carry hashes, which do not pack; they become numbers.
pub fn with_short_imports(mut script: String, wasm: &[u8]) -> Result<(String, Vec<u8>), String> {
    let mut module =
        ModuleConfig::new().generate_name_section(true).parse(wasm).map_err(|error| format!("{error:#}"))?;
    let ids: Vec<_> = module.imports.iter().map(|import| import.id()).collect();
    for (number, id) in ids.into_iter().enumerate() {
        let import = module.imports.get_mut(id);
        // Names without a hash also stand in other places of the script.
        let hashed = import.name.starts_with("__wb")
            && import
                .name
                .rsplit('_')
                .next()
                .is_some_and(|end| end.len() == 16 && end.chars().all(|c| c.is_ascii_hexdigit()));
        if !hashed {
            continue;
        }
        let short = format!("w{number}");
        script = script.replace(&format!("{}:", import.name), &format!("{short}:"));
        import.name = short;
    }
    Ok((script, module.emit_wasm()))
}

/// `bytes` as an .lzma file that says its length.
pub fn lzma(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    // The code of a wasm has no alignment.
    let options = LzmaOptions { pb: 0, nice_len: 273, depth_limit: 512, ..LzmaOptions::with_preset(9) };
    let mut writer = LzmaWriter::new_use_header(Vec::new(), &options, Some(bytes.len() as u64))?;
    writer.write_all(bytes)?;
    writer.finish()
}
