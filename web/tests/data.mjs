// What comes from outside, fetched and dropped: node data.mjs DIST MODEL.safetensors OUT
// MODEL: a lenet with deconvolution that `mexhat train` has trained on drawn digits.
import { GPU, expect, finish, keeper, open, serve, until } from "./chromium.mjs";
import { drop as dropOn, idx } from "./files.mjs";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const [dist, model, out] = process.argv.slice(2);
const shot = keeper(out);
/** Images of the made-up MNIST, and how many of them a race takes. */
const [COUNT, TAKEN] = [20_000, 1024];

const files = { "train-images-idx3-ubyte": idx(COUNT, true), "train-labels-idx1-ubyte": idx(COUNT, false), "t10k-images-idx3-ubyte": idx(200, true), "t10k-labels-idx1-ubyte": idx(200, false) };
const packed = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`/data/${name}.gz`, gzipSync(bytes, { level: 1 })]));

const asked = [];
let finishSlow = null;
/** Answers the large file in two parts: the second when the test says so. */
function slowly(bytes) {
  return (response) => {
    response.writeHead(200, { "content-type": "application/gzip", "content-length": bytes.length });
    const half = Math.floor(bytes.length / 2);
    response.write(bytes.subarray(0, half));
    finishSlow = () => response.end(bytes.subarray(half));
  };
}
const { server, address } = await serve(dist, (path) => {
  if (!packed[path]) return null;
  asked.push(path);
  return path.includes("train-images") ? slowly(packed[path]) : packed[path];
});

const trained = (page, count) => until(page, (count) => mexhat.lanes.every((lane) => lane.loss.steps.length >= count) || mexhat.state() === "failed", count);
const pause = async (page) => {
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused" || mexhat.state() === "failed");
};

const { browser, page, complaints } = await open(GPU, `${address}?model=linear&batch_size=16&limit_train=${TAKEN}&limit_test=100&look_every=10&data=mnist`, { viewport: { width: 1000, height: 800 } });
try {
  await page.evaluate(() => {
    globalThis.bar = new Set();
    const progress = document.getElementById("progress");
    new MutationObserver(() => bar.add(progress.value)).observe(progress, { attributes: true });
  });
  await page.click("#start");
  await trained(page, 5);
  const status = await page.textContent("#status");
  expect("training starts when the first part of MNIST is there", finishSlow !== null && status.includes(`${TAKEN} images of MNIST`), status);
  const bars = await page.evaluate(() => [...bar]);
  expect("the download's bar moves", bars.length > 1 && bars.every((share) => share >= 0 && share <= 1), bars.slice(0, 4).join());
  await shot(page, "mnist-streaming");
  finishSlow();
  await until(page, async () => (await (await caches.open("mexhat-data")).keys()).length === 4);
  await pause(page);
  const before = asked.length;
  await page.reload();
  await page.click("#start");
  await trained(page, 2);
  expect("the second time it comes from the cache", asked.length === before && (await page.textContent("#status")).includes("images of MNIST"), `${before} requests, then ${asked.length}`);
  await pause(page);

  const drop = (list) => dropOn(page, list);
  await page.goto(`${address}?model=linear&batch_size=16&limit_train=${TAKEN}&limit_test=100&look_every=10`);
  await drop([["notes.txt", "text/plain", Buffer.from("no picture")]]);
  expect("a file of no use is refused in words", (await page.textContent("#status")).includes("notes.txt is neither"), await page.textContent("#status"));
  const large = Buffer.alloc(1 << 28);
  [0x803, 342_000, 28, 28].forEach((value, i) => large.writeUInt32BE(value, 4 * i));
  const bomb = ["train-images-idx3-ubyte.gz", "application/gzip", gzipSync(large, { level: 9 })];
  await drop([bomb, ["train-labels-idx1-ubyte", "", files["train-labels-idx1-ubyte"]]]);
  await until(page, () => document.getElementById("own-note").textContent.includes("cannot be used"));
  expect("a small file that unpacks to 256 MiB is refused", /train-images.*which is over the \d+ bytes/.test(await page.textContent("#own-note")), await page.textContent("#own-note"));
  // One by one, unpacked and not.
  for (const [i, name] of Object.keys(files).entries()) {
    await drop([i % 2 ? [name, "", files[name].subarray(0)] : [`${name}.gz`, "application/gzip", packed[`/data/${name}.gz`]]]);
    await until(page, (what) => document.getElementById("own-note").textContent.startsWith(what), i < 3 ? `${i + 1} of 4` : "IDX files");
  }
  const asks = asked.length;
  await page.click("#start");
  await trained(page, 3);
  const dropped = await page.textContent("#status");
  expect("dropped files of MNIST are trained on", dropped.includes(`${TAKEN} images of IDX files`) && asked.length === asks, dropped);
  await pause(page);

  await drop([["picture.png", "image/png", await page.screenshot()]]);
  await until(page, () => document.getElementById("view-note").textContent.includes("picture.png"));
  await page.evaluate(() => document.getElementById("hat").scrollIntoView());
  await until(page, () => mexhat.viewer().looks > 0);
  expect("a dropped photo is looked at", (await page.textContent("#hat-note")).includes("patches"), await page.textContent("#hat-note"));
  await shot(page, "dropped-photo");

  await page.goto(`${address}?batch_size=8&limit_train=512&limit_test=100`);
  await drop([["native.safetensors", "", readFileSync(model)]]);
  await until(page, () => document.getElementById("status").textContent.includes("is read when"));
  // So slow that the one step changes nothing.
  await page.locator("#rate").fill("-2.5");
  await page.click("#step");
  await until(page, () => (mexhat.state() === "paused" && mexhat.lanes[1].loss.steps.length > 0) || mexhat.state() === "failed");
  await page.click("#judge1");
  await until(page, () => mexhat.lanes.judged || mexhat.state() === "failed");
  const mistakes = await page.evaluate(() => mexhat.lanes.judged?.mistakes.length);
  expect("a network that the native program has trained reads here as well", mistakes <= 20, `${mistakes} mistakes in 100`);
  await page.locator("#confusion button:enabled").first().click();
  await until(page, () => document.querySelectorAll("#mistakes canvas").length > 0);

  const draw = async (digit, strokes) => {
    await page.click("#clear");
    await page.locator("#pad").scrollIntoViewIfNeeded();
    const box = await page.locator("#pad").boundingBox();
    for (const [first, ...rest] of strokes) {
      const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
      await page.mouse.move(...at(first));
      await page.mouse.down();
      for (const point of rest) await page.mouse.move(...at(point), { steps: 8 });
      await page.mouse.up();
    }
    await until(page, () => document.getElementById("answer").textContent.includes("%"));
    await page.waitForTimeout(1500);
    const answer = await page.textContent("#answer");
    expect(`a drawn ${digit} is read`, answer.includes(`Deconvolution: ${digit} `), answer);
    await shot(page, `drawn-${digit}`);
  };
  await draw(1, [[[0.52, 0.15], [0.5, 0.85]]]);
  await draw(7, [[[0.25, 0.2], [0.75, 0.2], [0.45, 0.85]]]);
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
} catch (error) {
  expect("the page can be driven", false, String(error));
  await shot(page, "data-failed");
}
await browser.close();
server.close();
finish();
