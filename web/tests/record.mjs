// Records the races that the article shows beside the visitor's own: node record.mjs DIST MNIST OUT.json
// MNIST is the folder of its four files; OUT belongs into web/page/recorded.json.
import { GPU, open, serve } from "./chromium.mjs";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [dist, mnist, out] = process.argv.slice(2);
const STEPS = 120;
const RUNS = [0.02, 0.1, 0.5];
const { server, address } = await serve(dist, (path) => (path.startsWith("/data/") ? readFileSync(join(mnist, path.slice(6))) : null));
const recorded = [];
for (const rate of RUNS) {
  const { browser, page } = await open(GPU, `${address}?data=mnist&model=small&batch_size=32&limit_train=6000&limit_test=500&look_every=10&lr=${rate}`, {});
  await page.click("#start");
  await page.waitForFunction((steps) => mexhat.lanes.every((lane) => lane.diverged || lane.accuracy.steps.at(-1) >= steps) || mexhat.state() === "failed", STEPS, { timeout: 3_600_000, polling: 500 });
  const lanes = await page.evaluate(() => mexhat.lanes.map(({ accuracy: { steps, seconds, values }, loss }) => ({ steps, seconds, values, losses: loss.values, clock: loss.seconds })));
  const short = (list, digits) => list.map((v) => Number(v.toFixed(digits)));
  const title = `recorded: MNIST, rate ${rate}`;
  recorded.push({ title, rate, names: ["Batch norm", "Deconvolution"], lanes: lanes.map((one) => ({ steps: one.steps, seconds: short(one.seconds, 2), values: short(one.values, 3), losses: short(one.losses.slice(0, STEPS), 3), clock: short(one.clock.slice(0, STEPS), 1) })) });
  console.log(title, JSON.stringify(recorded.at(-1).lanes.map((one) => [one.values.at(-1), one.seconds.at(-1)])));
  writeFileSync(out, JSON.stringify(recorded));
  await browser.close();
}
server.close();
