// The chapters without WebGPU: recorded answers, each chapter driven, numbers against those of the engine: node
// recorded.mjs DIST OUT
import { GPU, expect, finish, keeper, open, serve, until } from "./chromium.mjs";
import { teller } from "./chapters.mjs";
import { PICTURES, key, questions } from "./questions.mjs";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { join } from "node:path";

const [dist, out] = process.argv.slice(2);
keeper(out);
/** Bytes of the recordings, gzipped, that a visitor without WebGPU downloads at most for a picture. */
const LARGEST = 200 * 1024;
/** Numbers are kept to four digits; `f32` on another driver differs by less. */
const WITHIN = 1e-3;
const CHAPTERS = ["neighbours", "slow", "patches", "newton", "hat"];

const blind = Buffer.from(`Object.defineProperty(navigator, "gpu", { value: undefined });\n${readFileSync(join(dist, "worker.js"), "utf8")}`);
const deaf = Buffer.from(`GPU.prototype.requestAdapter = async () => null;\n${readFileSync(join(dist, "worker.js"), "utf8")}`);
let worker = blind;
const { server, address } = await serve(dist, (path) => (path === "/worker.js" ? worker : null));
const { browser, page, complaints } = await open(GPU, address, { viewport: { width: 1200, height: 900 } });
const told = teller(page);
const text = (id) => page.textContent(`#${id}`);
const slide = (id, value) => page.locator(`#${id}`).fill(String(value));

const shot = (place, name = place) => page.locator(`#${place}`).screenshot({ path: join(out, `recorded-${name}.png`) });

try {
  const first = [];
  page.on("request", (request) => first.push(new URL(request.url()).pathname));
  await until(page, () => document.getElementById("failure").dataset.kind === "no-webgpu");
  expect("nothing recorded is loaded before a chapter is in sight", !first.some((path) => path.startsWith("/recordings") || path === "/recording.js"), first.join());

  const pairs = await told("neighbours");
  const said = await text("origin");
  expect("the article says that it is recorded, and why", said.startsWith("Recorded: this browser offers no WebGPU") && (await page.locator(".chapter h3 .recorded").count()) === 6, said);
  const buttons = await page.evaluate(() => ["mine", "camera", "photo", "leaves", "digits"].map((id) => document.getElementById(id).disabled));
  expect("what needs WebGPU is disabled, and that is said beside it", buttons.join() === "true,true,true,false,false" && (await text("view-note")).includes("needs WebGPU"), await text("view-note"));
  await page.locator("#article > header").screenshot({ path: join(out, "recorded-header.png") });

  await shot("neighbours");
  await slide("share", 1);
  expect("1: the slider applies D", (await text("agreement")) === "Correlation 0.00." && pairs.correlations[0] > 0.7, await text("agreement"));

  const slow = await told("slow");
  expect("2: a rate of 0.7 leaves 0.3 squared on the disc", Math.abs(slow.white.excess[1] - 0.09) < 2e-3);
  await shot("slow");
  const one = await told("slow", () => page.click("#rate-one"));
  expect("2: a rate of 1 arrives", one.white.excess[1] < 1e-5, await text("told-white"));
  await told("slow", () => slide("descent-rate", 1.6));
  expect("2: a rate too large leaves the valley", (await text("told-raw")).includes("leaves the valley"), await text("told-raw"));
  for (let rate = 1; rate <= 21; rate++) await told("slow", () => slide("descent-rate", rate / 10));
  expect("2: each place of the slider was recorded", await page.evaluate(() => document.querySelector("#slow .refusal").hidden));

  const patches = await told("patches");
  await shot("patches");
  await page.focus("#matrix");
  await page.keyboard.press("ArrowDown");
  const entry = await text("entry");
  expect("3: the keys go from entry to entry", entry === `red, row 2, column 3 with green, row 2, column 2: ${patches.before[5 * 27 + 13].toFixed(2)}`, entry);
  await page.click("#cov-after");
  await shot("patches", "patches-whitened");

  const newton = await told("newton");
  await shot("newton");
  await slide("ns-steps", 15);
  const note = await text("ns-note");
  expect("4: the slider goes to 15, and the textbook form explodes", note.startsWith("After 15 steps 27 of 27") && newton.uncoupled.some((v) => v === null || v > 100), note);

  const hat = await told("hat");
  await shot("hat");
  expect("5: the kernel is a centre with an opposite surround", Math.abs(hat.scale - hat.values[12]) < 1e-5 && [7, 11, 13, 17].every((i) => hat.values[i] < -0.05 * hat.scale), hat.values.slice(10, 15).join(" "));
  const looks = [hat];
  for (const which of ["all", "grey"]) {
    await told("hat", () => page.selectOption("#view-colours", which));
    for (const steps of [2, 12]) for (const eps of [0, -2]) {
      await told("hat", () => slide("view-t", steps));
      looks.push(await told("hat", () => slide("view-eps", eps)));
    }
    if (which === "all") await shot("hat", "hat-colours");
  }
  expect("5: each place of the sliders was recorded, and none is another", new Set(looks.map(({ scale }) => scale)).size === 8 && (await page.evaluate(() => document.querySelector("#hat .refusal").hidden)), looks.map(({ scale }) => scale).join(" "));

  await page.evaluate(() => document.getElementById("cost").scrollIntoView());
  await until(page, () => document.getElementById("cost-run").length > 1 && document.getElementById("cost-run").value === "0");
  expect("6: recorded races are compared, and none of one's own is asked for", /Batch norm .* 90 %.*Deconvolution .* 90 %/.test(await text("cost-note")) && (await page.evaluate(() => document.getElementById("cost-run").options[0].disabled)), await text("cost-note"));
  await shot("cost");

  const digits = await told("patches", () => page.click("#digits"));
  expect("digits were recorded, too", digits.d === 9 && digits.channels === 1 && (await text("view-note")).includes("digits"), await text("view-note"));
  for (const place of CHAPTERS) await told(place);
  for (const place of CHAPTERS) await shot(place, `digits-${place}`);
  await told("patches", () => page.click("#leaves"));

  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 390, height: 844 });
    for (const place of CHAPTERS) await told(place);
    await page.waitForTimeout(300);
    for (const place of [...CHAPTERS, "cost"]) await shot(place, `phone-${colorScheme}-${place}`);
    await page.locator("#article > header").screenshot({ path: join(out, `recorded-phone-${colorScheme}-header.png`) });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(`the recorded article fits a phone (${colorScheme})`, wide <= 390, `${wide} px`);
    await page.setViewportSize({ width: 1200, height: 900 });
    for (const place of [...CHAPTERS, "cost"]) await shot(place, `${colorScheme}-${place}`);
  }
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
} catch (error) {
  expect("the chapters can be driven without WebGPU", false, String(error?.stack ?? error));
}
await browser.close();

// Where there is WebGPU and no adapter.
worker = deaf;
const none = await open(GPU, address, {});
await none.page.evaluate(() => document.getElementById("newton").scrollIntoView());
await until(none.page, () => mexhat.article().newton);
expect("without an adapter the recording is shown, too", (await none.page.textContent("#origin")).includes("found no GPU"), await none.page.textContent("#origin"));
await none.browser.close();

// The engine itself, asked what was recorded.
worker = null;
const engine = await open(GPU, address, {});
for (const [name, picture] of Object.entries(PICTURES)) {
  const file = readFileSync(join(dist, "recordings", `${name}.json`));
  const size = gzipSync(file, { level: 9 }).length;
  expect(`${name}: the recording is small`, size <= LARGEST, `${(size / 1024).toFixed(1)} of at most ${LARGEST / 1024} KB gzipped`);
  const recorded = JSON.parse(file);
  const wanted = questions().map(key);
  expect(`${name}: each question has its answer`, wanted.every((one) => one in recorded.answers) && wanted.length === Object.keys(recorded.answers).length, `${wanted.length}`);
  const asked = questions().filter(([what, ...rest]) => what !== "descent" || [0.7, 1, 1.6].includes(rest[0]));
  const found = await engine.page.evaluate(async ([picture, recorded, asked]) => {
    const { ask } = await import("./study.js");
    const image = Object.assign(new Image(), { src: recorded.made.pixels.picture });
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const kept = context.getImageData(0, 0, image.width, image.height).data;
    const { pixels, width, height } = await ask(...picture);
    const answers = [];
    for (const [name, ...rest] of asked) answers.push(await ask(name, new Uint8Array(pixels), width, height, ...rest));
    const list = (_, v) => (v instanceof Uint8ClampedArray ? null : ArrayBuffer.isView(v) ? { floats: Array.from(v) } : v);
    return { off: pixels.reduce((sum, v, i) => sum + Math.abs(v - kept[i]), 0) / pixels.length, answers: JSON.parse(JSON.stringify(answers, list)) };
  }, [picture, recorded, asked]);
  expect(`${name}: the picture is the engine's, but for what compression takes`, found.off < 4, `off by ${found.off.toFixed(2)} of 255 on average`);
  const [worst, count] = [{}, {}];
  for (const [i, question] of asked.entries()) compare(recorded.answers[key(question)], found.answers[i], question[0], worst, count);
  expect(`${name}: the numbers are the engine's`, Object.values(worst).every((off) => off <= WITHIN), Object.entries(worst).map(([what, off]) => `${what} ${count[what]} numbers, off by at most ${off.toExponential(1)}`).join("; "));
}
await engine.browser.close();
server.close();
finish();

/** The largest distances of numbers, relative to the largest of their list. What rounding errors alone make differs
 * between drivers. */
function compare(recorded, found, what, worst, count) {
  if (typeof recorded === "number" && typeof found === "number") return compare([recorded], [found], what, worst, count);
  if (recorded?.floats) return compare(recorded.floats, found.floats, what, worst, count);
  if (Array.isArray(recorded) && typeof recorded[0] === "number") {
    const most = Math.max(...found.map(Math.abs), Number.MIN_VALUE);
    // Dots that are not drawn are not recorded.
    recorded.forEach((v, i) => {
      const off = v === null || found[i] === null ? Number(v !== found[i]) : Math.abs(v - found[i]) / most;
      worst[what] = Math.max(worst[what] ?? 0, off);
      count[what] = (count[what] ?? 0) + 1;
    });
  } else if (recorded && typeof recorded === "object" && !recorded.picture) {
    for (const name of Object.keys(recorded)) if (name !== "uncoupled") compare(recorded[name], found[name], what, worst, count);
  }
}
