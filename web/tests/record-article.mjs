// Records what the chapters show, for browsers without WebGPU; `cargo xtask record` starts it: node record-article.mjs
// DIST FOLDER FOLDER is web/page/recordings. Everything in it is the engine's own answer, on Chromium's software
// adapter.
import { GPU, open, serve } from "./chromium.mjs";
import { CONTROLS, PICTURES, key, questions } from "./questions.mjs";
import { mkdirSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { join } from "node:path";

const [dist, folder] = process.argv.slice(2);
const { server, address } = await serve(dist);
const { browser, page } = await open(GPU, address);
mkdirSync(folder, { recursive: true });
for (const [name, picture] of Object.entries(PICTURES)) {
  const recorded = await page.evaluate(record, [picture, questions().map((one) => [key(one), ...one])]);
  const text = JSON.stringify({ controls: CONTROLS, ...recorded });
  writeFileSync(join(folder, `${name}.json`), `${text}\n`);
  console.log(`${name}: ${Object.keys(recorded.answers).length} answers, ${(text.length / 1024).toFixed(0)} KB, ${(gzipSync(text, { level: 9 }).length / 1024).toFixed(0)} gzipped`);
}
await browser.close();
server.close();

/** In the page: a picture with all answers about it, numbers rounded to what a drawing shows. */
async function record([picture, questions]) {
  const { ask } = await import("./study.js");
  const { DOTS: dots } = await import("./chapters/neighbours.js");
  const made = await ask(...picture);
  const { pixels, width, height } = made;
  const short = (v) => (Number.isFinite(v) ? Number(v.toPrecision(4)) : null);

  /** RGBA as an image: exactly where it is small, else as photographs are kept, since it is only looked at. */
  function encoded(rgba, quality) {
    const whole = rgba.length === 4 * width * height;
    const canvas = Object.assign(document.createElement("canvas"), whole ? { width, height } : { width: rgba.length / 4, height: 1 });
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(rgba), canvas.width, canvas.height), 0, 0);
    return { picture: whole ? canvas.toDataURL("image/webp", quality) : canvas.toDataURL("image/png") };
  }

  function kept(value, quality = 0.3) {
    if (value instanceof Uint8ClampedArray) return encoded(value, quality);
    if (value instanceof Float32Array) return { floats: Array.from(value, short) };
    if (Array.isArray(value)) return value.map((one) => (typeof one === "number" ? short(one) : kept(one)));
    if (typeof value === "number") return short(value);
    return Object.fromEntries(Object.entries(value).filter(([name]) => name !== "ms").map(([name, one]) => [name, kept(one)]));
  }

  const answers = {};
  for (const [key, name, ...rest] of questions) {
    const found = await ask(name, new Uint8Array(pixels), width, height, ...rest);
    // No more dots than are drawn.
    if (name === "neighbours") for (const when of ["before", "after"]) found[when] = found[when].subarray(0, 2 * dots);
    answers[key] = kept(found);
  }
  return { made: { pixels: kept(pixels, 0.8), width, height }, answers };
}
