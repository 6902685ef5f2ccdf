// A second implementation of WebGPU: wgpu's own, in Firefox. Trains in the page, then runs the reference vectors and
// operations: node firefox.mjs DIST CHECKS
import puppeteer from "puppeteer-core";
import { existsSync } from "node:fs";
import { expect, finish, serve } from "./server.mjs";

const [dist, checks] = process.argv.slice(2);
const BROWSERS = ["/usr/bin/firefox", "/usr/bin/firefox-esr", "/snap/bin/firefox"];
const executablePath = process.env.FIREFOX ?? BROWSERS.find(existsSync);
const TINY = "?model=lenet&batch_size=16&limit_train=512&limit_test=64";

/** Firefox has WebGPU on Linux, and on adapters that compute on the CPU, when it is asked for. */
async function open(url) {
  const extraPrefsFirefox = { "dom.webgpu.enabled": true, "gfx.webgpu.ignore-blocklist": true };
  const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true, extraPrefsFirefox });
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  return { browser, page, complaints };
}

const until = (page, what) => page.waitForFunction(what, { timeout: 300_000, polling: 500 });

async function races() {
  const { server, address } = await serve(dist);
  const { browser, page, complaints } = await open(address + TINY);
  await until(page, () => globalThis.mexhat?.lanes.ready);
  await page.click("#start");
  await until(page, () => mexhat.lanes.every((lane) => lane.loss.steps.length >= 12));
  const losses = await page.evaluate(() => mexhat.lanes.map((lane) => [...lane.loss.values]));
  expect("both networks train", losses.every((all) => all.every(Number.isFinite) && all.at(-1) < all[0]), losses.map((all) => `${all[0].toFixed(3)} to ${all.at(-1).toFixed(3)}`).join(", "));
  expect("nothing is in the console", complaints.length === 0, complaints.slice(0, 5).join("\n"));
  await browser.close();
  server.close();
}

async function agrees() {
  const { server, address } = await serve(checks);
  const { browser, page, complaints } = await open(address);
  const begun = Date.now();
  let report = null;
  try {
    while (!report?.done && Date.now() - begun < 1_200_000) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      report = (await page.evaluate(() => globalThis.report)) ?? report;
    }
  } catch (error) {
    complaints.push(`the tab went away: ${error}`);
  }
  console.log(`     ${report?.kernels} pipelines, ${report?.golden} reference cases and ${report?.operations} operations in ${((Date.now() - begun) / 1000).toFixed(0)} s, the last was ${report?.at}`);
  expect("every pipeline is created, every reference case and every operation agrees in Firefox", report?.done && report.wrong.length === 0 && report.operations > 0, report?.wrong.join("\n"));
  expect("nothing is in the console", complaints.length === 0, complaints.slice(0, 5).join("\n"));
  await browser.close();
  server.close();
}

await races();
await agrees();
finish();
