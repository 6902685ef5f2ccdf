// The npm package as it is packed and installed: trained in Chromium on arrays, judged alike by the native program:
// node npm.mjs APP PROGRAM TSC OUT, APP being a folder in whose node_modules it is
import { GPU, expect, finish, keeper, open, serve, until } from "./chromium.mjs";
import { LAYERS, bars, idx } from "./bars.mjs";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { join } from "node:path";

const [app, program, tsc, out] = process.argv.slice(2);
const shot = keeper(out);
const PACKAGE = join(app, "node_modules/mexhat");
const packed = gzipSync(readFileSync(join(PACKAGE, "mexhat_npm_bg.wasm")), { level: 9 }).length;
console.log(`     the wasm is ${(packed / 1024).toFixed(1)} KB gzipped`);

const [train, test] = [bars(512, 1), bars(200, 2)];
const data = join(out, "bars");
idx(train, data, "train");
idx(test, data, "t10k");

const index = `<!doctype html><title>npm</title><link rel="icon" href="data:,"><script type="importmap">{ "imports": { "mexhat": "/node_modules/mexhat/mexhat.js" } }</script>`;
const { server, address } = await serve(app, (path) => (path === "/index.html" ? Buffer.from(index) : path === "/favicon.ico" ? Buffer.alloc(0) : null));
const { browser, page, complaints } = await open(GPU, address);

/** Runs `work` in the page with the package and the arrays; errors come back as `{ kind, message }`. */
const inPage = (work, more = null) => page.evaluate(`(async () => {
  const mexhat = await import("mexhat");
  globalThis.kept ??= {};
  const whole = ({ images, labels }) => ({ images: Uint8Array.from(images), labels });
  globalThis.train ??= whole(${JSON.stringify({ images: [...train.images], labels: [...train.labels] })});
  globalThis.test ??= whole(${JSON.stringify({ images: [...test.images], labels: [...test.labels] })});
  const refused = (promise) => promise.then((value) => ({ kind: "none", message: String(value) }), (e) => ({ kind: e.kind, message: e.message, one: e instanceof mexhat.MexhatError }));
  return (${work})(mexhat, kept, refused, ${JSON.stringify(more)});
})()`);

try {
  const begun = Date.now();
  const learnt = await inPage(async ({ Device }, kept, refused, layers) => {
    kept.device = await Device.open();
    kept.net = await kept.device.network({ input: [1, 16, 16], classes: 4, layers, name: "bars", whitening: { block: 8 }, block_fc: 32 });
    const [events, inside] = [[], []];
    const before = await kept.net.evaluate(test);
    for await (const event of kept.net.fit(train, { epochs: 4, batchSize: 32, lr: 0.05, test })) {
      events.push(event);
      // The network is asked while it is being trained.
      if (event.step === 2) inside.push((await kept.net.predict(test.images.subarray(0, 256))).shape.join(), (await kept.net.about()).steps);
    }
    kept.judged = await kept.net.evaluate(test);
    const { shape, values } = await kept.net.predict(test.images);
    kept.shares = values;
    const right = test.labels.filter((label, i) => values.subarray(4 * i, 4 * i + 4).indexOf(Math.max(...values.subarray(4 * i, 4 * i + 4))) === label).length;
    const floats = await kept.net.predict(Float32Array.from(test.images, (v) => v / 255));
    return { before, events, inside, judged: kept.judged, shape, right, floats: Math.max(...floats.values.map((v, i) => Math.abs(v - values[i]))), adapter: kept.device.adapter, about: { ...kept.net, ...(await kept.net.about()) } };
  }, LAYERS);
  const steps = learnt.events.filter((event) => event.event === "step");
  const evals = learnt.events.filter((event) => event.event === "eval");
  console.log(`     ${JSON.stringify(learnt.adapter)}; 64 steps in ${Date.now() - begun} ms; ${JSON.stringify(learnt.judged)} after ${JSON.stringify(learnt.before)}`);
  expect("each step is told once, with its loss", steps.length === 64 && steps.every((event, i) => event.step === i + 1 && event.loss > 0 && event.accuracy >= 0), `${steps[0]?.loss} to ${steps.at(-1)?.loss}`);
  expect("the network learns", learnt.judged.accuracy > 0.9 && learnt.before.accuracy < 0.6 && steps.at(-1).loss < 0.5 * steps[0].loss, `${learnt.before.accuracy} to ${learnt.judged.accuracy}`);
  expect("each epoch is judged", evals.length === 4 && evals.at(-1).accuracy === learnt.judged.accuracy, evals.map((event) => event.accuracy).join());
  expect("predictions are those that were judged", learnt.shape.join() === "200,4" && learnt.right === Math.round(200 * learnt.judged.accuracy), `${learnt.right} of 200`);
  expect("bytes and floats are the same images", learnt.floats < 1e-6, String(learnt.floats));
  expect("a network answers while it is being trained", learnt.inside[0] === "1,4" && learnt.inside[1] >= 2, learnt.inside.join("; "));
  expect("a network tells of itself", learnt.about.name === "bars" && learnt.about.parameters > 1000 && learnt.about.tensors.includes("conv1.running_deconv") && learnt.about.steps === 64 && learnt.about.bytes > 1e4 && learnt.about.description.layers.length === 6, JSON.stringify(learnt.about).slice(0, 200));

  const looked = await inPage(async (_, { net }) => {
    const [kernels, deconv, map] = await Promise.all([net.tensor("conv1.weight"), net.tensor("conv1.running_deconv"), net.activations(test.images.subarray(0, 512), "relu1")]);
    return [kernels.shape, deconv.shape, map.shape, Math.min(...map.values)];
  });
  expect("kernels, whitening and activations are read", JSON.stringify(looked.slice(0, 3)) === "[[8,1,5,5],[1,25,25],[2,8,16,16]]" && looked[3] === 0, JSON.stringify(looked));

  const saved = await inPage(async (_, kept) => Array.from((kept.bytes = await kept.net.save())));
  const file = join(out, "bars.safetensors");
  writeFileSync(file, Buffer.from(saved));
  const native = JSON.parse(execFileSync(program, ["eval", file, "--data", data, "--json"], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }));
  expect("mexhat eval opens what was saved, and finds the same accuracy", native.images === 200 && Math.abs(native.accuracy - learnt.judged.accuracy) < 1e-6 && Math.abs(native.loss - learnt.judged.loss) < 1e-4, `${native.accuracy} on ${native.images} images, loss ${native.loss} and ${learnt.judged.loss}`);
  const inspected = join(out, "bars-inspect");
  execFileSync(program, ["inspect", file, "--data", data, "--out", inspected], { stdio: ["ignore", "ignore", "inherit"] });
  expect("mexhat inspect does, too", readFileSync(join(inspected, "report.html"), "utf8").includes("conv1"));

  const again = await inPage(async (_, kept) => {
    const net = await kept.device.load(kept.bytes);
    const { values } = await net.predict(test.images);
    const same = values.every((value, i) => value === kept.shares[i]);
    const first = await net.train(train, { batchSize: 32, lr: 0.02, optimizer: "adamw", classNames: ["across", "rising", "upright", "falling"], onEvent: (event) => event.step !== 3 });
    const about = await net.about();
    await net.free();
    return [same, first.step, about.classNames[1], (await net.predict(test.images).catch((e) => e)).message];
  });
  expect("what was saved is loaded with the same answers, and learns on", again[0] && again[1] === 3 && again[2] === "rising", again.join("; "));
  expect("a network that is freed says so", again[3].includes("freed"), again[3]);

  const described = await inPage(async ({ Device }, { device }) => {
    const of = async (description) => {
      const net = await device.network(description);
      const found = [net.name, net.parameters, net.description.norm, net.description.whitening.block];
      await net.free();
      return found;
    };
    return [await of({ model: "lenet", norm: "batch" }), await of({ model: "lenet", whitening: "fast", block: 2 }), await of({ toml: 'norm = "none"\nlayers = [{ type = "flatten" }, { type = "linear", out_features = "classes" }]', classes: 7 })];
  });
  expect("networks come by name and from a file's text", JSON.stringify(described.map(([name, , norm, block]) => [name, norm, block])) === JSON.stringify([["lenet", "batch", 64], ["lenet", "deconv", 2], ["the network", "none", 64]]) && described[2][1] === 7 * 785, JSON.stringify(described));

  const refusals = await inPage(async ({ Device }, { device, net, bytes }, refused) => {
    const fit = (examples, options) => refused(net.train(examples, options));
    return {
      layer: await refused(device.network({ layers: [{ type: "relu" }, { type: "conv", out_channels: 8, kernal: 3 }] })),
      key: await refused(device.network({ model: "lenet", nrom: "batch" })),
      model: await refused(device.network({ model: "lenett" })),
      shape: await refused(device.network({ input: [1, 4, 4], layers: [{ type: "linear", out_features: 3 }] })),
      nothing: await refused(device.network()),
      bytes: await refused(device.load(bytes.subarray(0, 1000))),
      string: await refused(device.load("net.safetensors")),
      option: await fit(train, { bachSize: 32 }),
      rate: await fit(train, { lr: -1 }),
      label: await fit({ images: train.images, labels: [1.5] }),
      count: await fit({ images: train.images, labels: train.labels.slice(1) }),
      images: await refused(net.predict([1, 2, 3])),
      size: await refused(net.predict(new Float32Array(100))),
      tensor: await refused(net.tensor("conv9.weight")),
      diverged: await refused((await device.network({ input: [1, 16, 16], norm: "none", layers: [{ type: "flatten" }, { type: "linear", out_features: 64 }, { type: "linear", out_features: 10 }] })).train(train, { lr: 1e6, batchSize: 32, epochs: 9 })),
      twice: await (async () => {
        const first = net.fit(train, { batchSize: 32 });
        await first.next();
        const second = await refused(net.fit(train).next());
        await first.return();
        return second;
      })(),
      constructor: await refused((async () => new Device())()),
    };
  });
  const words = { layer: ["input", "layers[1]", "kernal"], key: ["usage", "nrom"], model: ["usage", "lenett", "lenet"], shape: ["usage", "fc1"], nothing: ["usage", "layers"], bytes: ["input", "the network's bytes"], string: ["usage", "Uint8Array"], option: ["usage", "bachSize"], rate: ["usage", "learning rate"], label: ["usage", "1.5"], count: ["usage", "512"], images: ["usage", "Float32Array"], size: ["usage", "[1, 16, 16]"], tensor: ["usage", "conv9.weight", "conv1.weight"], diverged: ["diverged", "step"], twice: ["usage", "being trained"], constructor: ["usage", "Device.open"] };
  for (const [name, [kind, ...expected]] of Object.entries(words)) {
    const { kind: found, message, one } = refusals[name];
    expect(`refused with a reason: ${name}`, one && found === kind && expected.every((word) => message.includes(word)), `${found}: ${message}`);
  }
  const after = await inPage(async (_, { net }) => (await net.evaluate(test)).images);
  expect("a network outlives what it refuses", after === 200);

  const lost = await inPage(async ({ Device }, _, refused, layers) => {
    // The browser's own device, to be destroyed under the package's feet.
    const devices = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      const device = await request.apply(this, args);
      devices.push(device);
      return device;
    };
    const device = await Device.open();
    const net = await device.network({ input: [1, 16, 16], classes: 4, layers, norm: "batch" });
    const events = [];
    for await (const event of net.fit(train, { batchSize: 32 })) {
      events.push(event);
      if (event.event === "step" && event.step === 5) devices.at(-1).destroy();
    }
    const steps = events.filter((event) => event.event === "step").map((event) => event.step).join();
    const told = events.filter((event) => event.event === "device_lost").length;
    const opened = devices.length;
    devices.at(-1).destroy();
    const found = await refused(net.predict(test.images));
    await net.free();
    await device.close();
    GPUAdapter.prototype.requestDevice = request;
    return { steps, told, opened, found, closed: await refused(device.network({ model: "lenet" })) };
  }, LAYERS);
  expect("a training survives the loss of its device", lost.told === 1 && lost.opened === 2 && lost.steps === Array.from({ length: 16 }, (_, i) => i + 1).join(), JSON.stringify([lost.told, lost.opened, lost.steps]));
  expect("what is asked of a lost device is refused as that", lost.found.kind === "device-lost" && lost.found.one, JSON.stringify(lost.found));
  expect("a closed device says so", lost.closed.kind === "usage" && lost.closed.message.includes("closed"), lost.closed.message);
  await inPage(async (_, { device }) => device.close());
  const strange = complaints.filter((text) => !/device|destroyed|lost/i.test(text));
  expect("nothing else is in the console", strange.length === 0, strange.join("\n"));

  await page.goto(`${address}node_modules/mexhat/example.html`);
  await until(page, () => document.getElementById("log").textContent.startsWith("truth"));
  const told = await page.textContent("#log");
  const sure = told.trim().split("\n").slice(1).filter((line) => line.split(": ")[1].split(" ").map(Number).findIndex((p) => p > 0.5) === Number(line[0])).length;
  expect("the example trains and predicts", sure >= 7, told.replaceAll("\n", " | "));
  expect("the example is of about 30 lines", readFileSync(join(PACKAGE, "example.html"), "utf8").split("\n").length <= 42);
  await shot(page, "npm-example");

  await page.goto(address);
  const missing = await page.evaluate(async () => {
    Object.defineProperty(navigator, "gpu", { value: undefined });
    const { Device } = await import("mexhat");
    return Device.open().catch((e) => [e.kind, e.message]);
  });
  expect("a browser without WebGPU is an error that says so", missing[0] === "no-adapter" && missing[1].includes("WebGPU"), missing.join(": "));
} catch (error) {
  expect("the package can be driven", false, String(error.stack ?? error));
}
await browser.close();
server.close();

// The types, by what the README does and what it must not do.
writeFileSync(join(app, "use.mts"), `import { Device, MexhatError, type FitEvent, type Tensor } from "mexhat";
const device = await Device.open({ wasm: new URL("x.wasm", import.meta.url) });
const network = await device.network({ input: [1, 28, 28], norm: "deconv", layers: [{ type: "conv", out_channels: 16, kernel: 5 }, { type: "residual", body: [{ type: "relu" }] }, { type: "linear", out_features: "classes" }] });
for await (const event of network.fit({ images: new Uint8Array(784), labels: [1] }, { lr: 0.1, optimizer: "adamw" })) {
  if (event.event === "step") console.log(event.loss.toFixed(3));
  if (event.event === "device_lost") console.log(event.reason);
}
const told: FitEvent[] = [];
await network.train({ images: new Float32Array(784), labels: new Uint32Array(1) }, { onEvent: (event) => told.push(event) });
const shares: Tensor = await network.predict(new Float32Array(784));
const bytes: Uint8Array = await network.save();
const again = await device.load(bytes).catch((error: MexhatError) => Promise.reject(error.kind));
// @ts-expect-error: no such layer
await device.network({ layers: [{ type: "convolution", outputs: 16 }] });
// @ts-expect-error: devices are opened
new Device();
// @ts-expect-error: labels are needed
network.fit({ images: new Uint8Array(1) });
console.log(shares.shape, again.parameters);
`);
try {
  execFileSync(process.execPath, [tsc, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "use.mts"], { cwd: app, encoding: "utf8" });
  expect("the types fit what the README does", true);
} catch (error) {
  expect("the types fit what the README does", false, error.stdout || String(error));
}
finish();
