// What `mexhat export` writes, opened by ONNX Runtime in a browser: the classes and shares of `mexhat predict`, for any
// number of pictures: node onnx.mjs PROGRAM NETWORK ORT, the last being the folder `dist` of the package
// onnxruntime-web
import { GPU, expect, finish, open, serve } from "./chromium.mjs";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [program, network, ort] = process.argv.slice(2);
const SIDE = 28;
const COUNT = 24;

/** A picture of a stroke, with grey edges: values of 0 to 255, row by row. */
function stroke(index) {
  const angle = (index * Math.PI) / COUNT;
  const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
  const offset = (index % 5) - 2;
  return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => {
    const [x, y] = [(i % SIDE) - 13.5, Math.floor(i / SIDE) - 13.5];
    const [along, across] = [x * dx + y * dy, x * dy - y * dx - offset];
    return Math.abs(along) < 9 ? Math.max(0, Math.min(255, Math.round(255 * (2.4 - Math.abs(across))))) : 0;
  });
}

/** `pixels` as a BMP of 24 bits, whose rows go upwards; 28 pixels fill whole words. */
function bmp(pixels) {
  const head = Buffer.alloc(54);
  head.write("BM");
  for (const [at, value] of [[2, 54 + 3 * pixels.length], [10, 54], [14, 40], [18, SIDE], [22, SIDE], [34, 3 * pixels.length]]) head.writeUInt32LE(value, at);
  head.writeUInt16LE(1, 26);
  head.writeUInt16LE(24, 28);
  const rows = Array.from({ length: SIDE }, (_, y) => pixels.subarray((SIDE - 1 - y) * SIDE, (SIDE - y) * SIDE));
  return Buffer.concat([head, ...rows.map((row) => Buffer.from([...row].flatMap((value) => [value, value, value])))]);
}

const folder = mkdtempSync(join(tmpdir(), "mexhat-onnx-"));
try {
  const pictures = Array.from({ length: COUNT }, (_, i) => stroke(i));
  const files = pictures.map((pixels, i) => join(folder, `${String(i).padStart(2, "0")}.bmp`));
  pictures.forEach((pixels, i) => writeFileSync(files[i], bmp(pixels)));
  const told = execFileSync(program, ["predict", network, ...files, "--top", "10", "--json"], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const predictions = told.trim().split("\n").map((line) => JSON.parse(line));
  execFileSync(program, ["export", network, "--preprocess", "--out", join(folder, "model.onnx")], { stdio: ["ignore", "ignore", "inherit"] });

  const { server, address } = await serve(ort, (path) => ({ "/index.html": Buffer.from("<!doctype html><title>ONNX Runtime</title>"), "/model.onnx": readFileSync(join(folder, "model.onnx")) })[path] ?? null);
  const { browser, page } = await open(GPU, address);
  const run = (images) =>
    page.evaluate(
      async ([images, side]) => {
        const ort = await import("/ort.wasm.min.mjs");
        ort.env.wasm.numThreads = 1;
        const session = (window.session ??= await ort.InferenceSession.create("/model.onnx"));
        const pixels = Uint8Array.from(images.flat());
        const { probabilities } = await session.run({ images: new ort.Tensor("uint8", pixels, [images.length, 1, side, side]) });
        return { dims: probabilities.dims, values: [...probabilities.data] };
      },
      [images.map((pixels) => [...pixels]), SIDE],
    );
  for (const count of [COUNT, 1, 7]) {
    const { dims, values } = await run(pictures.slice(0, count));
    let worst = 0;
    predictions.slice(0, count).forEach(({ shares }, i) => shares.forEach(({ class: name, share }) => (worst = Math.max(worst, Math.abs(values[i * 10 + Number(name)] - share)))));
    expect(`${count} pictures have the shares of mexhat predict`, dims.join() === `${count},10` && worst < 1e-4, `largest difference ${worst.toExponential(1)}`);
  }
  const classes = new Set(predictions.map((prediction) => prediction.class));
  expect("they are not all of one class", predictions.length === COUNT && classes.size > 1, [...classes].join());
  await browser.close();
  server.close();
} finally {
  rmSync(folder, { recursive: true });
}
finish();
