// The race and all that belongs to it: drives the built page in Chromium on a software GPU: node browser.mjs DIST OUT
import { CAMERA, GPU, expect, finish, keeper, open as openAt, serve, until } from "./chromium.mjs";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const [dist, out] = process.argv.slice(2);
const shot = keeper(out);
const { server, address } = await serve(dist);
const open = (args, query, view) => openAt(args, address + query, view);

try {
  const steps = 30;
  const { browser, page, complaints } = await open(`${GPU} ${CAMERA}`, "?model=lenet&batch_size=16&limit_train=512&limit_test=64&look_every=10&mode=reference", { viewport: { width: 1200, height: 1000 } });
  await shot(page, "fresh");

  const begun = Date.now();
  await page.click("#start");
  await until(page, () => mexhat.lanes.every((lane) => lane.loss.steps.length > 0) || mexhat.state() === "failed");
  console.log(`     first step after ${Date.now() - begun} ms`);
  await until(page, (steps) => mexhat.lanes.every((lane) => lane.loss.steps.length >= steps && lane.accuracy.steps.length > 1) || mexhat.state() === "failed", steps);
  console.log(`     ${steps} steps of both networks after ${Date.now() - begun} ms`);
  await page.click("#start");
  await until(page, () => mexhat.state() !== "running");

  await page.locator("#pad").scrollIntoViewIfNeeded();
  const box = await page.locator("#pad").boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(0.25, 0.2));
  await page.mouse.down();
  await page.mouse.move(...at(0.75, 0.2), { steps: 6 });
  await page.mouse.move(...at(0.45, 0.85), { steps: 8 });
  await page.mouse.up();
  await until(page, () => document.getElementById("answer").textContent.includes("%"));
  console.log(`     drawn 7: ${await page.textContent("#answer")}`);

  const seen = await page.evaluate(() => ({ losses: mexhat.lanes.map((lane) => lane.loss.values), accuracies: mexhat.lanes.map((lane) => lane.accuracy.values), kernels: mexhat.pictures().map((event) => Array.from(event.layers[0].values)), layers: mexhat.pictures().at(-1)?.layers.map((layer) => layer.name), state: mexhat.state(), device: document.getElementById("device").textContent, table: document.querySelector("tbody").innerText }));
  console.log(`     ${seen.device}\n     ${seen.table.replaceAll("\n", "\n     ")}`);
  expect("the race can be paused", seen.state === "paused", seen.state);
  for (const [lane, name] of ["batch", "deconv"].entries()) {
    const losses = seen.losses[lane];
    const mean = (part) => part.reduce((a, b) => a + b, 0) / part.length;
    expect(`${name}: the loss falls`, mean(losses.slice(15, 20)) < 0.95 * mean(losses.slice(0, 5)), losses.slice(0, steps).map((v) => v.toPrecision(3)).join(" "));
  }
  const [first, latest] = [seen.kernels[0], seen.kernels.at(-1)];
  const moved = first && Math.max(...first.map((v, i) => Math.abs(v - latest[i])));
  expect("the kernels change", moved > 0.01, `${seen.kernels.length} pictures, by ${moved?.toPrecision(3)}; now ${latest?.map((v) => v.toFixed(2)).join(" ")}`);

  await page.click("#step");
  await until(page, (count) => mexhat.state() === "paused" && mexhat.lanes[1].loss.steps.length > count, seen.losses[1].length);
  const after = await page.evaluate(() => mexhat.lanes.map((lane) => lane.loss.steps.length));
  expect("a single step is one step of each", after.every((n, i) => n === seen.losses[i].length + 1), after.join(" and "));
  expect("every layer has a picture", seen.layers?.join(" ") === "conv1 conv2 fc1 fc2", seen.layers?.join(" "));
  await page.locator("#layer-tabs button").nth(1).click();
  await page.click("#covariance");
  await until(page, () => !document.getElementById("maps").hidden || mexhat.state() === "failed");
  expect("covariances are shown", (await page.getAttribute("#before", "aria-label"))?.includes("conv2"), await page.getAttribute("#before", "aria-label"));
  await page.locator("#scrub").fill("0");
  expect("past steps can be looked at", (await page.textContent("#scrub-step")).startsWith("step"), await page.textContent("#scrub-step"));

  await page.click("#judge1");
  await until(page, () => mexhat.lanes.judged || mexhat.state() === "failed");
  const judged = await page.evaluate(() => mexhat.lanes.judged);
  const count = judged?.counts.flat().reduce((a, b) => a + b, 0);
  expect("the table counts every test image", count === 64 && judged.mistakes.length === count - judged.counts.reduce((sum, row, i) => sum + row[i], 0), `${count}, ${judged?.mistakes.length} mistakes`);
  const wrong = page.locator("#confusion button:enabled").first();
  if (await wrong.count()) {
    await wrong.click();
    await until(page, () => document.querySelectorAll("#mistakes canvas").length > 0);
  }

  await page.locator("#settings summary").click();
  await page.click("#save1");
  await until(page, () => mexhat.lanes.saved || mexhat.state() === "failed");
  const saved = Buffer.from(await page.evaluate(() => Array.from(mexhat.lanes.saved)));
  writeFileSync(join(out, "saved.safetensors"), saved);
  expect("a network is saved", saved.length > 100_000, `${saved.length} bytes`);

  const atKernel = () => page.evaluate(() => document.getElementById("hat").scrollIntoView());
  await page.click("#leaves");
  await atKernel();
  await until(page, () => mexhat.viewer().looks > 0);
  await page.locator("#view-k").selectOption("3");
  await until(page, () => mexhat.viewer().looks > 1);
  console.log(`     ${(await page.evaluate(() => mexhat.viewer())).note}`);
  await shot(page, "viewer");
  const lookedAt = await page.evaluate(() => mexhat.viewer().looks);
  await page.click("#camera");
  await atKernel();
  await until(page, (before) => mexhat.viewer().looks >= before + 3 && mexhat.viewer().camera, lookedAt);
  expect("the webcam is looked at, frame after frame", true, (await page.evaluate(() => mexhat.viewer())).note);
  await shot(page, "webcam");
  await page.click("#camera");

  await shot(page, "race");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(400);
  await shot(page, "race-dark");
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(400);
  await shot(page, "race-phone");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect("it fits a phone", wide <= 390, `${wide} px`);
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
  const before = await page.evaluate(() => mexhat.lanes.map((lane) => lane.loss.steps.length));
  await page.click("#start");
  await page.evaluate(() => mexhat.send("lose"));
  await until(page, () => mexhat.lanes.recovered || mexhat.state() === "failed");
  const [resumed, gone] = await page.evaluate(() => [mexhat.lanes.recovered, document.getElementById("failure").dataset.kind]);
  expect("a lost device is opened again", resumed !== null, gone ?? "");
  expect("both networks resume from a snapshot", resumed?.every((step, i) => step > 0 && step <= before[i] + 4), `${before} -> ${resumed}`);
  await until(page, (steps) => mexhat.lanes.every((lane, i) => lane.loss.steps.length >= steps[i] + 3) || mexhat.state() === "failed", before);
  const on = await page.evaluate(() => mexhat.lanes.map((lane) => [lane.loss.steps, lane.loss.values.slice(-3)]));
  expect("training goes on after the loss", on.every(([steps, last]) => steps.every((step, i) => step === i + 1) && last.every((v) => v > 0 && v < 3)), on.map(([steps, last]) => `${steps.length}: ${last.map((v) => v.toPrecision(3))}`).join("; "));
  await shot(page, "device-resumed");
  await page.locator("#load").setInputFiles({ name: "saved.safetensors", mimeType: "application/octet-stream", buffer: saved });
  await page.locator("#rate").fill("-2.5");
  await page.click("#step");
  await until(page, () => (mexhat.state() === "paused" && mexhat.lanes[1].loss.steps.length > 0) || mexhat.state() === "failed");
  await page.click("#judge1");
  await until(page, () => mexhat.lanes.judged || mexhat.state() === "failed");
  const loaded = await page.evaluate(() => mexhat.lanes.judged?.mistakes.length);
  expect("a saved network loads with what it has learnt", loaded <= judged.mistakes.length + 12, `${loaded} mistakes, ${judged.mistakes.length} before`);
  expect("still nothing is in the console", complaints.every((text) => text.includes("device")), complaints.join("\n"));
  await browser.close();
} catch (error) {
  expect("the page can be driven", false, String(error));
} finally {
  server.close();
}
finish();
