// "Check this GPU": a sound adapter is sound, and a kernel that was broken on purpose is named: node doctor.mjs DIST
// OUT
import { GPU, expect, finish, keeper, open, serve, until } from "./chromium.mjs";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [dist, out] = process.argv.slice(2);
const shot = keeper(out);
let instead = {};
const asked = [];
const { server, address } = await serve(dist, (path) => (asked.push(path), instead[path] ?? null));
const TINY = "?model=linear&batch_size=8&limit_train=512&limit_test=64";
const later = () => asked.filter((path) => path.includes("doctor"));
const verdict = (page) => page.getAttribute("#check-note", "data-verdict");
const over = () => !["", "refused"].includes(document.getElementById("check-note").dataset.verdict ?? "");
/** The checks take a software adapter minutes. */
const long = (page, what) => page.waitForFunction(what, null, { timeout: 900_000, polling: 200 });
const rows = (page) => page.evaluate(() => [...document.querySelectorAll("#check-table tr")].map((row) => [row.className, ...[...row.cells].map((cell) => cell.textContent)]));

// Keys instead of clicks: the page moves below the charts while networks train.
try {
  const { browser, page, complaints } = await open(GPU, address + TINY, { viewport: { width: 900, height: 700 } });
  await until(page, () => mexhat.lanes.ready);
  expect("the checks are not loaded with the page", later().length === 0, later().join(" "));
  await page.click("#start");
  await until(page, () => mexhat.lanes.every((lane) => lane.loss.steps.length > 5));
  await page.press("#check", "Enter");
  expect("no check begins while networks train", (await verdict(page)) === "refused" && later().length === 0, await page.textContent("#check-note"));
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused");
  const before = await page.evaluate(() => mexhat.lanes.map((lane) => lane.loss.steps.length));
  await page.press("#check", "Enter");
  await long(page, () => document.querySelectorAll("#check-table tr").length > 20);
  const share = await page.evaluate(() => document.getElementById("check-progress").value);
  expect("its progress is told", share > 0 && share < 1 && /%: \S/.test(await page.textContent("#check-now")), await page.textContent("#check-now"));
  await page.click("#start");
  await until(page, (before) => mexhat.lanes.every((lane, i) => lane.loss.steps.length > before[i] + 5), before);
  expect("a race that goes on ends the check", (await page.textContent("#check-note")).includes("the race needs the GPU") && (await page.isHidden("#check-progress")), await page.textContent("#check-note"));
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused");

  const begun = Date.now();
  await page.press("#check", "Enter");
  await long(page, over);
  const found = await rows(page);
  const count = (kind) => found.filter(([verdict]) => verdict === kind).length;
  console.log(`     ${count("ok")} checks, ${count("untried")} not tried, in ${((Date.now() - begun) / 1000).toFixed(0)} s: ${await page.textContent("#check-note")}`);
  for (const [, , name, detail] of found.filter(([verdict]) => verdict === "untried")) console.log(`     not tried: ${name}: ${detail}`);
  expect("a sound adapter is sound", (await verdict(page)) === "ok" && count("wrong") === 0 && count("ok") > 100, found.filter(([verdict]) => verdict === "wrong").join("\n"));
  expect("the worst error is told", /largest error \d+ % of what is allowed, by \w+/.test(await page.textContent("#check-note")));
  const [file] = await Promise.all([page.waitForEvent("download"), page.evaluate(() => (document.getElementById("check-report").open = true)).then(() => page.click("#check-save"))]);
  const report = JSON.parse(readFileSync(await file.path()));
  expect("the report is a file", report.findings.length === found.length && report.adapter.backend === "browser-webgpu" && report.browser.includes("Chrome") && /swiftshader/i.test(report.gpu), file.suggestedFilename());
  await shot(page, "doctor");
  const more = await page.evaluate(() => mexhat.lanes.map((lane) => lane.loss.steps.length));
  await page.click("#step");
  await until(page, (more) => mexhat.state() === "paused" && mexhat.lanes.every((lane, i) => lane.loss.steps.length === more[i] + 1), more);
  expect("the race goes on afterwards, on the device that it had", (await page.evaluate(() => mexhat.lanes.recovered)) === null);
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
  await browser.close();

  // A relu6 that ends at a half, put between the engine and the browser's compiler: nothing in what is shipped knows of
  // it.
  const [whole, broken] = ["clamp(v, vec4f(0.0), vec4f(6.0))", "clamp(v, vec4f(0.0), vec4f(0.5))"];
  instead = { "/doctor.js": Buffer.from(`const make = GPUDevice.prototype.createShaderModule;
    GPUDevice.prototype.createShaderModule = function (text) { return make.call(this, { ...text, code: text.code.replaceAll("${whole}", "${broken}") }); };
    ${readFileSync(join(dist, "doctor.js"), "utf8")}`) };
  const ill = await open(GPU, address + TINY, { viewport: { width: 900, height: 700 } });
  await until(ill.page, () => mexhat.lanes.ready);
  await ill.page.press("#check", "Enter");
  await long(ill.page, over);
  const wrong = (await rows(ill.page)).filter(([verdict]) => verdict === "wrong").map(([, , name]) => name);
  const text = await ill.page.textContent("#check-note");
  expect("a broken kernel is named", (await verdict(ill.page)) === "wrong" && text.includes("relu6") && wrong.join() === "relu6", wrong.join(", "));
  expect("and what to do is said", text.includes("Do not trust") && text.includes("driver"), text.slice(0, 400));
  await shot(ill.page, "doctor-wrong");
  await ill.browser.close();

  instead = { "/mexhat_web_doctor_bg.wasm": (response) => response.writeHead(404).end() };
  const gone = await open(GPU, address + TINY);
  await gone.page.press("#check", "Enter");
  await long(gone.page, over);
  expect("checks that cannot be loaded are an error that says so", (await verdict(gone.page)) === "failed", await gone.page.textContent("#check-note"));
  await gone.browser.close();
} catch (error) {
  expect("the check can be driven", false, String(error));
} finally {
  server.close();
}
finish();
