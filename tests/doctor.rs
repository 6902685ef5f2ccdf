//! The doctor: a sound adapter is sound, and kernels that were broken on purpose are caught where they are broken.

use mexhat::check::OPERATIONS;
use mexhat::doctor::{Report, examine};
use mexhat::gpu::{Gpu, KernelCache};
use mexhat::software::{Family, Loads, Wish};
use mexhat::{OpenOptions, Result};

/// Examines a few operations by the kernels of GPUs, whose text is changed so.
fn report(text: fn(String) -> String) -> Result<Report> {
    let wish = Wish { family: Some(Family::Shared), loads: Some(Loads::Buffers) };
    let options = OpenOptions::of_variables(|name| std::env::var(name).ok())?;
    let gpu = Gpu::open_with(OpenOptions { wish, text: Some(text), cache: KernelCache::Off, ..options })?;
    let few: Vec<_> =
        OPERATIONS.iter().filter(|op| ["relu", "matmul", "mse_loss"].contains(&op.name)).copied().collect();
    assert_eq!(few.len(), 3);
    let mut told = 0;
    let report = pollster::block_on(examine(&gpu, &few, |_| told += 1));
    assert_eq!(told, report.findings.len());
    Ok(report)
}

fn wrong(report: &Report) -> Vec<&str> {
    report.wrong().map(|finding| finding.name.as_str()).collect()
}

#[test]
fn a_sound_adapter_is_sound() -> Result<()> {
    let found = report(|text| text)?;
    assert!(wrong(&found).is_empty(), "{:?}", found.wrong().collect::<Vec<_>>());
    assert!(found.tried() >= 18 && found.ran() >= 10, "{} checks, {} kernels", found.tried(), found.ran());
    let json = serde_json::to_value(&found).map_err(|e| mexhat::Error::Run(e.to_string()))?;
    assert!(json["adapter"]["name"].is_string() && json["findings"][0]["verdict"] == "ok", "{json}");
    Ok(())
}

#[test]
fn broken_kernels_are_caught_where_they_are_broken() -> Result<()> {
    // A relu that hides what is no number.
    let found = report(|text| text.replace("select(v, vec4f(0.0), v < vec4f(0.0))", "max(v, vec4f(0.0))"))?;
    assert!(wrong(&found).contains(&"NaN passes relu"), "{:?}", wrong(&found));
    // A product that forgets its last steps where they do not fill a stage.
    let found = report(|text| text.replace("(params.k + DEPTH - 1u) / DEPTH * DEPTH", "params.k / DEPTH * DEPTH"))?;
    assert_eq!(wrong(&found), ["matmul"]);
    // A launch that begins anew behind 65,535 workgroups.
    let found = report(|text| text.replace("(group.y * groups.x + group.x) * 64u", "group.x * 64u"))?;
    assert_eq!(wrong(&found), ["a buffer of 128 MiB"]);
    Ok(())
}
