// Outside browsers: the npm package as it is packed and installed, and the reference vectors and operations, in Node.js
// with Dawn (npm's `webgpu`) or in Deno, which has wgpu: node outside.mjs APP PROGRAM CHECKS OUT DAWN, deno run -A
// outside.mjs APP PROGRAM CHECKS OUT APP has the package in its node_modules, CHECKS is the folder of reference
// vectors, DAWN is the folder of npm's `webgpu`.
import { LAYERS, bars, idx } from "./bars.mjs";
import { expect, finish } from "./server.mjs";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [app, program, checks, out, dawn] = process.argv.slice(2);
const where = globalThis.Deno ? `Deno ${Deno.version.deno}` : `Node.js ${process.versions.node}`;
const script = (...path) => import(pathToFileURL(join(...path)));
const { Device, MexhatError } = await script(app, "node_modules/mexhat/mexhat.js");
const refused = (promise) => promise.then((value) => ({ kind: "none", message: String(value) }), (error) => error);

if (dawn) {
  const nothing = await refused(Device.open());
  expect("without WebGPU an error says where it is to be had", nothing instanceof MexhatError && nothing.kind === "no-adapter" && nothing.message.includes("webgpu"), nothing.message);
  const { create, globals } = await script(dawn, "index.js");
  Object.assign(globalThis, globals);
  // Node.js has it from 21 on.
  globalThis.navigator ??= {};
  navigator.gpu = create([]);
}
const found = await navigator.gpu?.requestAdapter();
if (!found) {
  console.log(`SKIPPED: ${where} finds no adapter for WebGPU here`);
  process.exit(0);
}
console.log(`     ${where}: ${found.info.vendor} ${found.info.architecture} ${found.info.description}`);

const [train, test] = [bars(512, 1), bars(200, 2)];
const data = join(out, "bars-outside");
idx(train, data, "train");
idx(test, data, "t10k");

async function trains() {
  const device = await Device.open();
  const network = await device.network({ input: [1, 16, 16], classes: 4, layers: LAYERS, name: "bars", whitening: { block: 8 }, block_fc: 32 });
  const [begun, losses, inside] = [Date.now(), [], []];
  for await (const event of network.fit(train, { epochs: 4, batchSize: 32, lr: 0.05, test })) {
    if (event.event === "step") losses.push(event.loss);
    if (event.step === 2) inside.push((await network.predict(test.images.subarray(0, 256))).shape.join());
  }
  const judged = await network.evaluate(test);
  console.log(`     ${JSON.stringify(device.adapter)}; 64 steps in ${Date.now() - begun} ms; ${JSON.stringify(judged)}`);
  expect("the network learns, and answers meanwhile", losses.length === 64 && losses.at(-1) < 0.5 * losses[0] && judged.accuracy > 0.9 && inside.join() === "1,4", `loss ${losses[0].toFixed(3)} to ${losses.at(-1).toFixed(3)}, ${inside}`);

  const { values } = await network.predict(test.images);
  const right = test.labels.filter((label, i) => values.subarray(4 * i, 4 * i + 4).indexOf(Math.max(...values.subarray(4 * i, 4 * i + 4))) === label).length;
  expect("predictions are those that were judged", right === Math.round(200 * judged.accuracy), `${right} of 200`);
  const bytes = await network.save();
  const file = join(out, "bars-outside.safetensors");
  writeFileSync(file, bytes);
  const native = JSON.parse(execFileSync(program, ["eval", file, "--data", data, "--json"], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }));
  expect("mexhat eval opens what was saved, and finds the same accuracy", native.images === 200 && Math.abs(native.accuracy - judged.accuracy) < 1e-6 && Math.abs(native.loss - judged.loss) < 1e-4, `${native.accuracy} on ${native.images} images, loss ${native.loss} and ${judged.loss}`);

  const again = await device.load(readFileSync(file));
  const same = (await again.predict(test.images)).values.every((value, i) => value === values[i]);
  const step = await again.train(train, { batchSize: 32, lr: 0.02, onEvent: (event) => event.step !== 3 });
  expect("what was saved is loaded with the same answers, and learns on", same && step.step === 3);
  const wrong = await refused(network.predict(new Float32Array(100)));
  expect("what does not fit is refused in words", wrong.kind === "usage" && wrong.message.includes("[1, 16, 16]"), wrong.message);
  await device.close();
}

async function survives() {
  // The device itself, to be destroyed under the package's feet.
  const devices = [];
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await request.apply(this, args);
    devices.push(device);
    return device;
  };
  const device = await Device.open();
  const network = await device.network({ input: [1, 16, 16], classes: 4, layers: LAYERS, norm: "batch" });
  const events = [];
  for await (const event of network.fit(train, { batchSize: 32 })) {
    events.push(event.event === "step" ? event.step : event.event);
    if (event.event === "step" && event.step === 5) devices.at(-1).destroy();
  }
  const steps = events.filter(Number.isInteger).join();
  expect("a training survives the loss of its device", events.includes("device_lost") && devices.length === 2 && steps === Array.from({ length: 16 }, (_, i) => i + 1).join(), events.join());
  devices.at(-1).destroy();
  const lost = await refused(network.predict(test.images));
  expect("what is asked of a lost device is refused as that", lost.kind === "device-lost", `${lost.kind}: ${lost.message}`);
  await device.close();
  GPUAdapter.prototype.requestDevice = request;
}

async function agrees() {
  const { default: init, Checks } = await script(checks, "mexhat_web_checks.js");
  const { empty, run } = await script(checks, "run.js");
  const bytes = async (name) => new Uint8Array(readFileSync(join(checks, name)));
  const [begun, report] = [Date.now(), empty()];
  await init({ module_or_path: await bytes("mexhat_web_checks_bg.wasm") });
  await run(report, Checks, bytes, "");
  console.log(`     ${report.kernels} pipelines, ${report.golden} reference cases and ${report.operations} operations in ${((Date.now() - begun) / 1000).toFixed(0)} s`);
  expect(`every pipeline is created, every reference case and every operation agrees in ${where}`, report.wrong.length === 0 && report.kernels > 0 && report.golden > 0 && report.operations > 0, report.wrong.join("\n"));
}

for (const part of [trains, survives, agrees]) {
  if (part === survives && globalThis.Deno) {
    console.log("SKIPPED: buffers of a lost device throw in Deno when they are unmapped, which ends the engine");
    continue;
  }
  try {
    await part();
  } catch (error) {
    expect(part.name, false, String(error?.stack ?? error));
  }
}
finish();
