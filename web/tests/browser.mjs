// Drives the built page in Chromium on a software GPU: node browser.mjs DIST NATIVE.json OUT
// NATIVE.json: { batch: [losses], deconv: [losses] } of `mexhat train` with the options below.
import { chromium } from "playwright-core";
import { createServer } from "node:http";
import { mkdirSync, readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";

const [dist, native, out] = process.argv.slice(2);
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };
mkdirSync(out, { recursive: true });

const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://x").pathname).replace(/\/$/, "/index.html");
  try {
    const body = readFileSync(join(dist, path));
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${server.address().port}/`;

const flags = "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
const gpu = "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader --enable-features=Vulkan";
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
let failures = 0;

function expect(what, holds, detail = "") {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${detail === "" ? "" : `: ${detail}`}`);
  if (!holds) failures += 1;
}

async function open(args, query, view) {
  const browser = await chromium.launch({ executablePath, headless: true, args: args.split(" ") });
  const page = await browser.newPage(view);
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(address + query);
  return { browser, page, complaints };
}

const until = (page, what, arg) => page.waitForFunction(what, arg, { timeout: 150_000, polling: 200 });
const shot = (page, name) => page.screenshot({ path: join(out, `${name}.png`), fullPage: true });

try {
  const steps = 20;
  const { browser, page, complaints } = await open(`${flags} ${gpu}`, "?batch_size=16&limit_train=512&limit_test=64&look_every=10", { viewport: { width: 1200, height: 1000 } });
  await shot(page, "fresh");

  await page.evaluate(() => mexhat.send("check"));
  await until(page, () => mexhat.lanes.checked || mexhat.state() === "failed");
  const checked = await page.evaluate(() => mexhat.lanes.checked);
  expect("every pipeline is created without a complaint", checked?.refused.length === 0 && checked.created > 50, checked ? `${checked.created} created ${checked.refused.join("\n")}` : await page.textContent("#failure"));

  const begun = Date.now();
  await page.click("#start");
  await until(page, () => mexhat.lanes.every((lane) => lane.loss.steps.length > 0) || mexhat.state() === "failed");
  console.log(`     first step after ${Date.now() - begun} ms`);
  await until(page, (steps) => mexhat.lanes.every((lane) => lane.loss.steps.length >= steps && lane.accuracy.steps.length > 1) || mexhat.state() === "failed", steps);
  console.log(`     ${steps} steps of both networks after ${Date.now() - begun} ms`);
  await page.click("#start");
  await until(page, () => mexhat.state() !== "running");

  const box = await page.locator("#pad").boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(0.25, 0.2));
  await page.mouse.down();
  await page.mouse.move(...at(0.75, 0.2), { steps: 6 });
  await page.mouse.move(...at(0.45, 0.85), { steps: 8 });
  await page.mouse.up();
  await until(page, () => document.getElementById("answer").textContent.includes("%"));
  console.log(`     drawn 7: ${await page.textContent("#answer")}`);

  const seen = await page.evaluate(() => ({ losses: mexhat.lanes.map((lane) => lane.loss.values), accuracies: mexhat.lanes.map((lane) => lane.accuracy.values), kernels: mexhat.lanes.kernels, state: mexhat.state(), device: document.getElementById("device").textContent, table: document.querySelector("tbody").innerText }));
  console.log(`     ${seen.device}\n     ${seen.table.replaceAll("\n", "\n     ")}`);
  expect("the race can be paused", seen.state === "paused", seen.state);
  for (const [lane, name] of ["batch", "deconv"].entries()) {
    const losses = seen.losses[lane];
    const mean = (part) => part.reduce((a, b) => a + b, 0) / part.length;
    expect(`${name}: the loss falls`, mean(losses.slice(15, 20)) < 0.95 * mean(losses.slice(0, 5)), losses.slice(0, steps).map((v) => v.toPrecision(3)).join(" "));
    if (native) {
      // Deconvolution at this rate doubles a difference of rounding every step or so: the adapters add in other orders.
      const [count, bound] = name === "batch" ? [steps, 1e-2] : [4, 5e-3];
      const wanted = JSON.parse(readFileSync(native))[name];
      const off = Math.max(...wanted.slice(0, count).map((v, i) => Math.abs(losses[i] - v) / Math.abs(v)));
      expect(`${name}: the first ${count} losses are the native ones to ${bound}`, wanted.length >= count && off < bound, off.toExponential(1));
    }
  }
  const [first, latest] = [seen.kernels[0], seen.kernels.at(-1)];
  const moved = first && Math.max(...first.map((v, i) => Math.abs(v - latest[i])));
  expect("the kernels change", moved > 0.01, `${seen.kernels.length} pictures, by ${moved?.toPrecision(3)}; now ${latest?.map((v) => v.toFixed(2)).join(" ")}`);

  await page.click("#step");
  await until(page, (count) => mexhat.state() === "paused" && mexhat.lanes[1].loss.steps.length > count, seen.losses[1].length);
  const after = await page.evaluate(() => mexhat.lanes.map((lane) => lane.loss.steps.length));
  expect("a single step is one step of each", after.every((n, i) => n === seen.losses[i].length + 1), after.join(" and "));
  await shot(page, "race");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(400);
  await shot(page, "race-dark");
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(400);
  await shot(page, "race-phone");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect("it fits a phone", wide <= 390, `${wide} px`);
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
  const nameless = await page.evaluate(() => [...document.querySelectorAll("button[id], input, select, canvas[id]")].filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.closest("label"))).map((e) => e.id));
  expect("every control has a name", nameless.length === 0, nameless.join(" "));

  const before = await page.evaluate(() => mexhat.lanes.map((lane) => lane.loss.steps.length));
  await page.click("#start");
  await page.evaluate(() => mexhat.send("lose"));
  await until(page, () => mexhat.lanes.recovered || mexhat.state() === "failed");
  const [resumed, gone] = await page.evaluate(() => [mexhat.lanes.recovered, document.getElementById("failure").dataset.kind]);
  expect("a lost device is opened again", resumed !== null, gone ?? "");
  expect("both networks resume from a snapshot", resumed?.every((step, i) => step > 0 && step <= before[i] + 4), `${before} -> ${resumed}`);
  await until(page, (steps) => mexhat.lanes.every((lane, i) => lane.loss.steps.length >= steps[i] + 3) || mexhat.state() === "failed", before);
  const on = await page.evaluate(() => mexhat.lanes.map((lane) => [lane.loss.steps, lane.loss.values.slice(-3)]));
  expect("training goes on after the loss", on.every(([steps, last]) => steps.every((step, i) => step === i + 1) && last.every((v) => v > 0 && v < 3)), on.map(([steps, last]) => `${steps.length}: ${last.map((v) => v.toPrecision(3))}`).join("; "));
  await shot(page, "device-resumed");
  await browser.close();

  const without = await open(`${flags} --disable-features=WebGPU --disable-blink-features=WebGPU`, "", {});
  await without.page.waitForTimeout(500);
  await without.page.click("#start").catch(() => {});
  await until(without.page, () => !document.getElementById("failure").hidden);
  const kind = await without.page.getAttribute("#failure", "data-kind");
  expect("a browser without WebGPU is told what to do", kind === "no-webgpu" || kind === "no-adapter", kind);
  await shot(without.page, "no-webgpu");
  await without.browser.close();
} catch (error) {
  expect("the page can be driven", false, String(error));
} finally {
  server.close();
}
console.log(failures ? `${failures} failed` : "all passed");
process.exit(failures ? 1 : 0);
