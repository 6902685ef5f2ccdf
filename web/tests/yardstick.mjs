// Time of the yardstick's training step in Chromium on its software adapter: node yardstick.mjs DIST [STEPS]
// Wall and processor milliseconds of a step (all processes of the browser), and the first loss, counted from
// the worker's start and from the end of its loading, from where the peers count.
import { readFileSync, readdirSync } from "node:fs";
import { GPU, open, serve } from "./chromium.mjs";

const [dist, steps = "20"] = process.argv.slice(2);
const OPTIONS = { model: "yardstick", norms: ["none", "none"], batch_size: 64, lr: 0.01, momentum: 0.9, weight_decay: 0, seed: 1, limit_train: 256, limit_test: 64, look_every: 1e9, ahead: 2 };
const TICK_MS = 10;

/** Processor time of all children of this process. */
function processorMs() {
  const parents = new Map();
  const times = new Map();
  for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${id}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      parents.set(+id, +fields[1]);
      times.set(+id, (+fields[11] + +fields[12]) * TICK_MS);
    } catch {
      // It has ended.
    }
  }
  let sum = 0;
  for (const [id, time] of times) {
    let above = id;
    while (above && above !== process.pid) above = parents.get(above);
    if (above === process.pid && id !== process.pid) sum += time;
  }
  return sum;
}

const { server, address } = await serve(dist, (path) => (path === "/favicon.ico" ? Buffer.alloc(0) : null));
const { browser, page } = await open(GPU, `${address}style.css`);
let from = null;
await page.exposeFunction("mark", () => void (from = processorMs()));
const { times: found, loaded } = await page.evaluate(async ([options, wanted]) => {
  const begin = performance.now();
  const worker = new Worker("worker.js", { type: "module" });
  worker.postMessage({ type: "start", options });
  const times = [];
  let loaded = null;
  await new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = async ({ data }) => {
      if (data.type === "ready") loaded = performance.now() - begin;
      if (data.type === "failed") reject(new Error(data.message));
      for (const event of data.events ?? []) {
        if (event.event !== "step") continue;
        times.push(performance.now() - begin);
        // Both networks have compiled and filled their queues by then.
        if (times.length === 8) await window.mark();
        if (times.length === 8 + wanted) resolve();
      }
    };
  });
  worker.terminate();
  return { times, loaded };
}, [OPTIONS, +steps]);
const processor = (processorMs() - from) / +steps;
const between = found.slice(8).map((time, i) => time - found[7 + i]).sort((a, b) => a - b);
console.log(JSON.stringify({ first_step_ms: Math.round(found[0]), first_step_loaded_ms: Math.round(found[0] - loaded), ms_per_step: Math.round((found.at(-1) - found[7]) / +steps), median_ms: Math.round(between[between.length >> 1]), processor_ms_per_step: Math.round(processor) }));
await browser.close();
server.close();
