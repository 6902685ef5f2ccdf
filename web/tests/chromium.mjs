// A server of static files and Chromium with a software GPU, for the tests.
import { chromium } from "playwright-core";
import { createServer } from "node:http";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";

const TYPES = { ".png": "image/png", ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json" };
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/snap/bin/chromium"];
const executablePath = process.env.CHROMIUM ?? BROWSERS.find(existsSync);

const FLAGS = "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
/** WebGPU on the CPU. */
export const GPU = `${FLAGS} --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader --enable-features=Vulkan`;
/** A camera that shows a moving picture, and nobody who is asked about it. */
export const CAMERA = "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream";

/** Serves `folder`; returns the server and its address. `more` answers first: null, bytes, or a function of the response. */
export async function serve(folder, more = () => null) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://x").pathname).replace(/\/$/, "/index.html");
    try {
      const known = await more(path);
      if (typeof known === "function") return known(response);
      const body = known ?? readFileSync(join(folder, path));
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream", "content-length": body.length }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${server.address().port}/` };
}

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

let failures = 0;

export function expect(what, holds, detail = "") {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${detail === "" ? "" : `: ${detail}`}`);
  if (!holds) failures += 1;
}

export function finish() {
  console.log(failures ? `${failures} failed` : "all passed");
  process.exit(failures ? 1 : 0);
}
