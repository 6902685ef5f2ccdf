// The chapters of the article, each driven and its numbers checked against plain loops: node article.mjs DIST OUT
import { GPU, expect, finish, keeper, open, serve, until } from "./chromium.mjs";
import { teller } from "./chapters.mjs";
import { join } from "node:path";

const [dist, out] = process.argv.slice(2);
keeper(out);
const { server, address } = await serve(dist);
const { browser, page, complaints } = await open(GPU, address, { viewport: { width: 1200, height: 900 }, hasTouch: true });
const told = teller(page);
const text = (id) => page.textContent(`#${id}`);
const shot = (place, name = place) => page.locator(`#${place}`).screenshot({ path: join(out, `article-${name}.png`) });
const slide = (id, value) => page.locator(`#${id}`).fill(String(value));
const worst = (a, b) => Math.max(...a.map((v, i) => Math.abs(v - b[i])));
const near = (a, b, within) => worst(a, b) <= within;
/** The picture's samples, 0 to 1, colours apart. */
const planes = () => page.evaluate(() => {
  const canvas = document.getElementById("source-picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { width: canvas.width, height: canvas.height, colours: [0, 1, 2].map((c) => Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + c] / 255)) };
});

/** Covariance of 3x3 patches of all colours by plain loops, its diagonal of mean 1. */
function reference({ width, height, colours }) {
  const d = 9 * colours.length;
  const [sum, products] = [new Float64Array(d), new Float64Array(d * d)];
  const count = (width - 2) * (height - 2);
  const patch = new Float64Array(d);
  for (let y = 0; y + 3 <= height; y++) {
    for (let x = 0; x + 3 <= width; x++) {
      for (let i = 0; i < d; i++) patch[i] = colours[Math.floor(i / 9)][(y + (Math.floor(i / 3) % 3)) * width + x + (i % 3)];
      for (let i = 0; i < d; i++) {
        sum[i] += patch[i];
        for (let j = 0; j <= i; j++) products[i * d + j] += patch[i] * patch[j];
      }
    }
  }
  const entry = (i, j) => products[Math.max(i, j) * d + Math.min(i, j)] / count - (sum[i] * sum[j]) / count ** 2;
  const all = Array.from({ length: d * d }, (_, at) => entry(Math.floor(at / d), at % d));
  const variance = all.filter((_, at) => at % (d + 1) === 0).reduce((a, b) => a + b) / d;
  return all.map((v) => v / variance);
}

const identity = (d) => Array.from({ length: d * d }, (_, i) => Number(i % (d + 1) === 0));

try {
  const begun = Date.now();
  // 1. Neighbours agree.
  const pairs = await told("neighbours");
  console.log(`     the first chapter is there after ${Date.now() - begun} ms`);
  const rows = Array.from({ length: pairs.before.length / 2 }, (_, i) => [pairs.before[2 * i], pairs.before[2 * i + 1]]);
  const mean = (of) => rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
  const plain = [mean(([a]) => a * a), mean(([a, b]) => a * b), mean(([a, b]) => a * b), mean(([, b]) => b * b)];
  expect("1: the covariance of neighbours is that of plain loops", near(pairs.covariance, plain, 1e-4), `${pairs.covariance.map((v) => v.toFixed(4))} and ${plain.map((v) => v.toFixed(4))}`);
  expect("1: neighbours agree, and whitened they do not", pairs.correlations[0] > 0.7 && Math.abs(pairs.correlations.at(-1)) < 1e-2, `${pairs.correlations[0].toFixed(3)}, ${pairs.correlations.at(-1).toExponential(1)}`);
  expect("1: the whitened covariance is the identity", near(pairs.whitened, [1, 0, 0, 1], 1e-2), pairs.whitened.map((v) => v.toFixed(4)).join());
  await shot("neighbours");
  await slide("share", 1);
  expect("1: the slider applies D", (await text("agreement")) === "Correlation 0.00." && (await text("share-value")) === "100 %", await text("agreement"));
  await shot("neighbours", "neighbours-whitened");

  // 2. Why that slows learning.
  const slow = await told("slow");
  expect("2: at a rate of 0.7 a step on the disc leaves 0.3 squared", Math.abs(slow.white.excess[1] - 0.09) < 2e-3, slow.white.excess.slice(0, 3).map((v) => v.toPrecision(3)).join());
  expect("2: the largest stable rate is 2 over the largest eigenvalue", Math.abs(slow.raw.limit - 2 / (1 + slow.correlation)) < 0.1 && Math.abs(slow.white.limit - 2) < 0.01, `${slow.raw.limit.toFixed(3)}, ${slow.white.limit.toFixed(3)}`);
  expect("2: the valley is left unfinished", slow.raw.excess.at(-1) > 1e-3 && slow.raw.excess.at(-1) < 1, slow.raw.excess.at(-1).toPrecision(2));
  await shot("slow");
  const one = await told("slow", () => page.click("#rate-one"));
  expect("2: at a rate of 1 one step suffices on the disc", one.white.excess[1] < 1e-5, one.white.excess[1].toExponential(1));
  const thrown = await told("slow", () => slide("descent-rate", 1.6));
  expect("2: a rate too large leaves the valley, and is said to", thrown.raw.excess.at(-1) > 1 && (await text("told-raw")).includes("leaves the valley"), await text("told-raw"));
  await shot("slow", "slow-thrown-out");

  // 3. The covariance of patches.
  const patches = await told("patches");
  const wanted = reference(await planes());
  expect("3: the covariance of patches is that of plain loops", patches.d === 27 && near(patches.before, wanted.map((v, i) => v + (i % 28 ? 0 : 1e-5)), 1e-4), worst(patches.before, wanted).toExponential(1));
  expect("3: after D it is the identity", near(patches.after, identity(27), 0.02), worst(patches.after, identity(27)).toExponential(1));
  await page.focus("#matrix");
  const before = await text("entry");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  const after = await text("entry");
  expect("3: the keys go from entry to entry, whose value is told", after !== before && after === `red, row 2, column 3 with green, row 2, column 3: ${patches.before[5 * 27 + 14].toFixed(2)}`, after);
  /** Touches a canvas at shares of its width and height. */
  const touch = async (id, across, down) => {
    await page.locator(`#${id}`).scrollIntoViewIfNeeded();
    const { x, y, width, height } = await page.locator(`#${id}`).boundingBox();
    await page.touchscreen.tap(x + across * width, y + down * height);
  };
  await touch("matrix", 0.99, 0.01);
  expect("3: so does a finger", (await text("entry")).startsWith("red, row 1, column 1 with blue, row 3, column 3"), await text("entry"));
  await touch("kernel", 0.99, 0.01);
  expect("a finger is told the value of the race's kernel", /row 1, column 5: -?\d/.test(await text("tap")), await text("tap"));
  await page.locator("#matrix").hover({ position: { x: 2, y: 2 } });
  expect("3: so does the pointer", (await text("entry")).startsWith("red, row 1, column 1 with red, row 1, column 1"), await text("entry"));
  await shot("patches");
  await page.click("#cov-after");
  expect("3: the matrix after D can be seen", /: 1\.00$/.test(await text("entry")), await text("entry"));
  await shot("patches", "patches-whitened");

  // 4. Newton-Schulz.
  const newton = await told("newton");
  const { coupled, uncoupled, eigenvalues, gains, d } = newton;
  expect("4: the coupled residual falls with every step", coupled.length === 16 && coupled.every((v, t) => t === 0 || v < coupled[t - 1]) && coupled[15] < 1e-2, coupled.map((v) => v.toPrecision(2)).join(" "));
  expect("4: the uncoupled one begins alike", coupled.slice(0, 5).every((v, t) => Math.abs(v - uncoupled[t]) < 1e-3 * v));
  // What overflows is null in JSON.
  expect("4: and explodes", uncoupled.some((v) => v === null || v > 100), uncoupled.map((v) => v?.toPrecision(2)).join(" "));
  expect("4: after 15 steps every direction is white", near(eigenvalues.slice(15 * d), Array(d).fill(1), 0.02));
  expect("4: no step grows D by more than a half", gains.every((v, t) => t === 0 || Math.abs(v / gains[t - 1] - 1.5) < 1e-9) && eigenvalues.slice(5 * d, 6 * d).every((v, i) => v <= eigenvalues[i] * 1.5 ** 10 * 1.001));
  await shot("newton");
  await slide("ns-steps", 15);
  expect("4: the slider goes to 15", (await text("ns-note")).startsWith(`After 15 steps ${d} of ${d}`), await text("ns-note"));
  await shot("newton", "newton-15");

  // 5. The kernel.
  const hat = await told("hat");
  const at = (row, column) => hat.values[row * 5 + column];
  expect("5: the kernel is a centre with an opposite surround", hat.channels === 1 && hat.scale === at(2, 2) && [at(1, 2), at(2, 1), at(2, 3), at(3, 2)].every((v) => v < -0.05 * at(2, 2)), hat.values.slice(10, 15).map((v) => v.toFixed(2)).join(" "));
  expect("5: what is left is sparser", hat.kurtoses[1] > 1.5 * hat.kurtoses[0], hat.kurtoses.map((v) => v.toFixed(1)).join(" and "));
  await shot("hat");
  const colours = await told("hat", () => page.selectOption("#view-colours", "all"));
  expect("5: with colours there are nine kernels", colours.channels === 3 && colours.values.length === 225);
  await shot("hat", "hat-colours");
  const weak = await told("hat", () => slide("view-eps", 0));
  expect("5: a large eps flattens the hat", weak.scale < 0.5 * colours.scale, `${colours.scale.toFixed(2)} to ${weak.scale.toFixed(2)}`);

  // 6. What it costs and buys.
  await page.evaluate(() => document.getElementById("cost").scrollIntoView());
  await until(page, () => document.getElementById("cost-run").length > 1);
  await slide("cost-goal", 0.8);
  expect("6: a recorded race says when both reached an accuracy", /Batch norm .* 80 %.*Deconvolution .* 80 %/.test(await text("cost-note")), await text("cost-note"));
  await shot("cost");
  await page.selectOption("#cost-run", "");
  expect("6: one's own race is asked for", (await text("cost-note")).startsWith("Start the race"));

  // Other pictures.
  const digits = await told("patches", () => page.click("#digits"));
  expect("digits have one colour: a patch is nine numbers", digits.d === 9 && digits.channels === 1, String(digits.d));
  const flat = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 40, height: 40 });
    canvas.getContext("2d").fillRect(0, 0, 40, 40);
    return Array.from(new Uint8Array(await (await new Promise((done) => canvas.toBlob(done))).arrayBuffer()));
  });
  await page.locator("#photo").setInputFiles({ name: "flat.png", mimeType: "image/png", buffer: Buffer.from(flat) });
  await page.evaluate(() => document.getElementById("patches").scrollIntoView());
  await until(page, () => !document.querySelector("#patches .refusal").hidden);
  expect("a flat picture is refused in words", (await page.textContent("#patches .refusal")).includes("flat colour"), await page.textContent("#patches .refusal"));
  await page.evaluate(() => document.getElementById("hat").scrollIntoView());
  await until(page, () => !document.querySelector("#hat .refusal").hidden);
  const left = await page.evaluate(() => ["matrix", "entry", "cov-note", "view-kernel", "hat-note", "view-low", "views"].filter((id) => document.getElementById(id).checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })));
  expect("and nothing of the picture before it is left", left.length === 0, left.join());
  await shot("hat", "hat-refused");
  await page.locator("#photo").setInputFiles({ name: "no.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await until(page, () => document.getElementById("view-note").textContent.includes("no.png"));
  await told("patches", () => page.click("#leaves"));
  expect("and another picture is taken after it", await page.evaluate(() => document.querySelector("#patches .refusal").hidden));

  expect("no script stands in the page itself, and the policy forbids it", await page.evaluate(() => [...document.scripts].every((one) => one.src) && /script-src 'self' 'wasm-unsafe-eval'/.test(document.querySelector('meta[http-equiv="Content-Security-Policy"]').content)));
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 390, height: 844 });
    for (const place of ["neighbours", "slow", "patches", "newton", "hat"]) await told(place);
    await page.waitForTimeout(300);
    for (const place of ["neighbours", "slow", "patches", "newton", "hat", "cost"]) await shot(place, `phone-${colorScheme}-${place}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(`the article fits a phone (${colorScheme})`, wide <= 390, `${wide} px`);
  }
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
} catch (error) {
  expect("the article can be driven", false, String(error));
}
await browser.close();
server.close();
finish();
