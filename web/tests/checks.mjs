// Reference vectors and operations in Chromium: node checks.mjs FOLDER [ONLY]
import { GPU, expect, finish, open, serve } from "./chromium.mjs";

const [folder, only = ""] = process.argv.slice(2);
const { server, address } = await serve(folder);
const { browser, page, complaints } = await open(GPU, `${address}?only=${encodeURIComponent(only)}`);
const begun = Date.now();
let report;
try {
  await page.waitForFunction(() => globalThis.report?.done, null, { timeout: 900_000, polling: 500 });
} catch (error) {
  complaints.push(String(error));
} finally {
  report = await page.evaluate(() => globalThis.report).catch(() => null);
}
console.log(`     ${report?.kernels} pipelines, ${report?.golden} reference cases and ${report?.operations} operations in ${((Date.now() - begun) / 1000).toFixed(0)} s, the last was ${report?.at}`);
console.log(`     the slowest: ${report?.slow.slice(0, 8).map(([name, seconds]) => `${name} ${seconds.toFixed(0)} s`).join(", ")}`);
expect("every pipeline is created, every reference case and every operation agrees in the browser", report?.done && report.wrong.length === 0 && report.kernels + report.golden + report.operations > 0, report?.wrong.join("\n"));
expect("nothing is in the console", complaints.length === 0, complaints.slice(0, 5).join("\n"));
await browser.close();
server.close();
finish();
