// Chromium with a software GPU, for the tests.
import { chromium } from "playwright-core";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

export * from "./server.mjs";

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/snap/bin/chromium"];
const executablePath = process.env.CHROMIUM ?? BROWSERS.find(existsSync);

const FLAGS = "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
/** WebGPU on the CPU. */
export const GPU = `${FLAGS} --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader --enable-features=Vulkan`;
/** A camera that shows a moving picture, and nobody who is asked about it. */
export const CAMERA = "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream";

/** Opens `url`; returns the browser, the page and what it complains of. */
export async function open(args, url, view = {}) {
  const browser = await chromium.launch({ executablePath, headless: true, args: args.split(" ") });
  const page = await browser.newPage(view);
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  return { browser, page, complaints };
}

/** Waits until `what` holds in the page. */
export const until = (page, what, arg) => page.waitForFunction(what, arg, { timeout: 300_000, polling: 100 });

/** Keeps a picture of the whole page, to be looked at. */
export const keeper = (folder) => {
  mkdirSync(folder, { recursive: true });
  return (page, name) => page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
};
