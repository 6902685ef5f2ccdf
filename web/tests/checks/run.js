// Runs every case and leaves what is wrong in a report, for the page beside it and for what is no browser.

/** A report before the first case; `slow` are names with their seconds, the slowest first. */
export const empty = () => ({ kernels: 0, golden: 0, operations: 0, wrong: [], done: false, at: "", slow: [] });

/** Fills `report`. `bytes(name)` gives a file of this folder; cases whose names have `only` in them are run. */
export async function run(report, Checks, bytes, only) {
  try {
    const files = { "manifest.json": await bytes("manifest.json") };
    const { cases } = JSON.parse(new TextDecoder().decode(files["manifest.json"]));
    for (const name of new Set(cases.map((one) => one.file))) files[name] = await bytes(name);
    const checks = await Checks.open(files);
    // Whole networks take a software adapter minutes: VGG-11 stands for them, the others run natively.
    const whole = cases.filter(({ name, op }) => op === "model_step" && !name.startsWith("vgg11"));
    const skipped = new Set(whole.map(({ name }) => name));
    const all = async (kind, names, one) => {
      for (const [index, name] of names.entries()) {
        if (!name.includes(only) || skipped.has(name)) continue;
        report.at = name;
        const begun = performance.now();
        const why = await one(index);
        report.slow.push([name, (performance.now() - begun) / 1000]);
        report.slow = report.slow.sort(([, a], [, b]) => b - a).slice(0, 20);
        if (why) report.wrong.push(`${kind} ${name}: ${why}`);
        else report[kind] += 1;
      }
    };
    await all("kernels", checks.kernels(), (index) => checks.runKernel(index));
    await all("golden", checks.golden(), (index) => checks.runGolden(index));
    await all("operations", checks.operations(), (index) => checks.runOperation(index, 4));
  } catch (error) {
    report.wrong.push(`${report.at}: ${error?.stack ?? error}`);
  }
  report.done = true;
}
