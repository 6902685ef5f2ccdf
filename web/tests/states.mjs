// What the page does when something is missing or breaks: node states.mjs DIST OUT
import { GPU, expect, finish, keeper, open, serve, until } from "./chromium.mjs";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [dist, out] = process.argv.slice(2);
const shot = keeper(out);
/** What the server answers instead of a file, by path. */
let instead = {};
const { server, address } = await serve(dist, (path) => instead[path] ?? null);
const script = (name) => readFileSync(join(dist, name), "utf8");
const TINY = "?model=linear&batch_size=8&limit_train=512&limit_test=64&look_every=10";

/** Opens the page in the state that `answers` make, presses start and waits for `what`. */
async function state(name, answers, query, what, check) {
  instead = answers;
  const { browser, page, complaints } = await open(GPU, address + query, { viewport: { width: 900, height: 700 } });
  try {
    await page.click("#start", { timeout: 2000 }).catch(() => {});
    await until(page, what);
    await check(page, complaints);
    await shot(page, name);
  } catch (error) {
    expect(name, false, String(error));
    await shot(page, name);
  }
  await browser.close();
}

const failed = () => !document.getElementById("failure").hidden;
const card = async (page) => [await page.getAttribute("#failure", "data-kind"), (await page.textContent("#failure")).replace(/\s+/g, " ").trim()];
const withPrefix = (code) => ({ "/worker.js": Buffer.from(`${code}\n${script("worker.js")}`) });

await state("no-webgpu", withPrefix('Object.defineProperty(navigator, "gpu", { value: undefined });'), "", failed, async (page) => {
  await until(page, () => mexhat.lanes.every((lane) => lane.loss.steps.length > 20));
  const [kind, text] = await card(page);
  await until(page, () => document.querySelectorAll("#chain1 li").length > 0);
  const playing = await page.textContent("#status");
  expect("meanwhile a recorded race is played, and called one", playing.startsWith("Below is a recording") && (await page.textContent("#lane1 td:nth-child(4)")).includes("%"), playing);
  const drawn = await page.evaluate(() => [document.getElementById("chain1").textContent, document.querySelector("header p").textContent.replace(/\s+/g, " ")]);
  expect("the networks of the recording are drawn, and the page's head does not promise a GPU", drawn[0].includes("8×28×28") && drawn[1].includes("in a recording") && !drawn[1].includes("your GPU"), drawn.join("; "));
  expect("that it is a recording is said where WebGPU is said to be missing", text.includes("Below is a recording"), text);
  const offered = await page.evaluate(() => [...document.querySelectorAll("button, input, select, #lesson a")].filter((one) => one.checkVisibility() && !one.disabled && !one.closest("article, footer, .tools")).map((one) => one.id));
  expect("nothing is offered that would act on nothing", offered.join() === "again,start,rate", offered.join());
  expect("the words are about recordings", (await page.innerText("#lesson")).startsWith("Three races were recorded, at rates of 0.02, 0.1 and 0.5"), await page.innerText("#lesson"));
  const last = await page.evaluate(() => document.getElementById("lane1").getBoundingClientRect().bottom);
  expect("both networks' figures are in sight at 900 by 700", last <= 700, String(last));
  for (const [place, rate] of [[0, "0.02"], [2, "0.5"], [1, "0.1"]]) {
    await page.locator("#rate").fill(String(place));
    await until(page, (rate) => document.getElementById("status").textContent.endsWith(`rate ${rate}.`) && mexhat.lanes.every((lane) => lane.loss.steps.length > 12), rate);
    const played = await page.evaluate(() => [document.getElementById("rate-value").value, new URLSearchParams(location.search).get("lr") ?? "0.1"]);
    const shown = await page.evaluate(async (place) => {
      const recorded = (await (await fetch("recorded.json")).json())[place].lanes;
      return mexhat.lanes.every((lane, i) => lane.loss.values.every((loss, step) => loss === recorded[i].losses[step]));
    }, place);
    expect(`the slider plays the race that was recorded at a rate of ${rate}`, played.every((text) => text === rate) && shown, played.join());
  }
  await page.click("#start");
  await until(page, () => mexhat.lanes.every((lane) => lane.step < 12) && mexhat.lanes[1].step > 0);
  expect("it can be played again", true);
  expect("a browser without WebGPU is told how to enable it", kind === "no-webgpu" && ["Chrome", "Firefox", "Safari", "about:config", "chrome://flags"].every((word) => text.includes(word)), text);
});
await state("no-adapter", withPrefix("GPU.prototype.requestAdapter = async () => null;"), "", failed, async (page) => {
  const [kind, text] = await card(page);
  expect("a browser without an adapter is told what to do", kind === "no-adapter" && text.includes("hardware acceleration"), text);
});
await state("wasm-damaged", { "/mexhat_web_bg.wasm": readFileSync(join(dist, "mexhat_web_bg.wasm")).subarray(0, 100_000) }, "", failed, async (page) => {
  const [kind, text] = await card(page);
  expect("a damaged wasm is a readable error", kind === "wasm" && text.includes("fault of the page") && !text.includes("undefined"), text);
});
await state("wasm-missing", { "/mexhat_web_bg.wasm": (response) => response.writeHead(404).end() }, "", failed, async (page) => {
  const [kind, text] = await card(page);
  expect("a missing wasm is a readable error", kind === "wasm" && text.includes("404"), text);
});
await state("address-refused", {}, "?seed=-1&lr=0&model=lenett&fbclid=x", failed, async (page) => {
  const [kind, text] = await card(page);
  expect("what the address gets wrong is named, each with what is expected", kind === "usage" && ["seed", "-1", "lr", "lenett"].every((word) => text.includes(word)) && !text.includes("invalid value"), text);
  await page.click("#again");
  expect("trying again leaves it out", (await page.evaluate(() => [mexhat.state(), location.search])).join() === "fresh,?fbclid=x", await page.evaluate(() => location.search));
});
await state("settings-refused", {}, `${TINY}&momentum=7`, failed, async (page) => {
  const [kind, text] = await card(page);
  expect("settings that do not work are named", kind === "usage" && text.includes("momentum"), text);
});
await state("fallback", {}, `${TINY}&data=mnist`, () => mexhat.lanes[1].loss.steps.length > 2 || mexhat.state() === "failed", async (page) => {
  const said = await page.textContent("#status");
  expect("a failed download is said, and digits are drawn instead", said.includes("could not be fetched") && said.includes("drawn digits"), said);
  expect("a software adapter is called one", said.includes("software"), said);
});

await state("hidden", {}, TINY, () => mexhat.lanes[1].loss.steps.length > 2 || mexhat.state() === "failed", async (page, complaints) => {
  // A hidden tab draws no frames, and its timers are held back.
  await page.evaluate(() => {
    globalThis.frames_kept = [];
    globalThis.requestAnimationFrame = (draw) => frames_kept.push(draw);
    Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  const before = await page.evaluate(() => mexhat.lanes.map((lane) => lane.loss.steps.length));
  await until(page, (before) => mexhat.lanes.every((lane, i) => lane.loss.steps.length > before[i] + 10), before);
  expect("a hidden tab goes on", true, `from step ${before}`);
  await page.evaluate(() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
    frames_kept.splice(0).forEach((draw) => draw(0));
  });
  await until(page, () => Number(document.querySelector("#lane0 td").textContent) > 0 && frames_kept.length > 0);
  expect("and shows what it has done when it is looked at again", Number(await page.textContent("#lane0 td")) > before[0] + 10, await page.textContent("#lane0 td"));
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
});

await state("settings-kept", {}, TINY, () => mexhat.lanes[1].loss.steps.length > 0 || mexhat.state() === "failed", async (page) => {
  await page.locator("#settings summary").click();
  await page.selectOption('select[name="model"]', "mlp");
  await page.fill('input[name="seed"]', "7");
  await page.locator('input[name="seed"]').blur();
  await page.locator("#rate").fill("-2");
  const kept = await page.evaluate(() => location.search);
  expect("settings stand in the address", ["model=mlp", "seed=7", "lr=0.01", "batch_size=8"].every((word) => kept.includes(word)), kept);
  await page.reload();
  const read = await page.evaluate(() => [document.querySelector('select[name="model"]').value, document.querySelector('input[name="seed"]').value, document.getElementById("rate-value").value]);
  expect("and are read from it", read.join() === "mlp,7,0.01", read.join());
});
server.close();
finish();
