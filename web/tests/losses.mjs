// The first losses of both networks in the browser against those of the native program: node losses.mjs DIST
// NATIVE.json NATIVE.json: { same_driver, options, losses: { batch: [...], deconv: [...] } }, the race's options and
// what `mexhat train` made of the same, on the browser's own driver or another.
import { readFileSync } from "node:fs";
import { GPU, expect, finish, open, serve } from "./chromium.mjs";

const [dist, native] = process.argv.slice(2);
const { same_driver, options, losses } = JSON.parse(readFileSync(native));
const BOUND = same_driver ? 1e-5 : 1e-3;
/** Between drivers, as between two native families, rounding grows tenfold in a few steps of deconvolution; see the
 * README. */
const LEAST = same_driver ? {} : { deconv: 8 };
const norms = Object.keys(losses);
const steps = losses[norms[0]].length;

const { server, address } = await serve(dist, (path) => (path === "/favicon.ico" ? Buffer.alloc(0) : null));
const { browser, page, complaints } = await open(GPU, `${address}style.css`);
const found = await page.evaluate(([options, steps]) => new Promise((resolve, reject) => {
  const worker = new Worker("worker.js", { type: "module" });
  const lanes = options.norms.map(() => []);
  worker.onerror = (event) => reject(new Error(event.message));
  worker.onmessage = ({ data }) => {
    if (data.type === "failed") reject(new Error(data.message));
    for (const event of data.events ?? []) if (event.event === "step") lanes[event.lane].push(event.loss);
    if (lanes.every((lane) => lane.length >= steps)) resolve(lanes);
  };
  worker.postMessage({ type: "start", options });
}), [{ ...options, norms, look_every: 1e9 }, steps]);

for (const [lane, name] of norms.entries()) {
  const off = losses[name].map((wanted, i) => Math.abs(found[lane][i] - wanted) / Math.abs(wanted));
  const within = (bound) => (off.findIndex((v) => !(v <= bound)) + off.length + 1) % (off.length + 1);
  console.log(`     ${name}: from ${found[lane][0].toFixed(4)} to ${found[lane][steps - 1].toFixed(4)}; within 1e-5 of the native losses for ${within(1e-5)} steps, 1e-4 for ${within(1e-4)}, 1e-3 for ${within(1e-3)}`);
  const least = LEAST[name] ?? steps;
  expect(`${name}: the first ${least} of ${steps} losses are those of the native program, to ${BOUND}`, steps === 50 && within(BOUND) >= least, Math.max(...off.slice(0, least)).toExponential(1));
}
expect("the browser has nothing to complain of", complaints.length === 0, complaints.join(" | "));
await browser.close();
server.close();
finish();
