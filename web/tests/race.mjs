// What a visitor may do to a race, and what it must tell: node race.mjs DIST OUT [NAME …], of which the names are some
// of the races below
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { GPU, expect, finish, keeper, open as openAt, serve, until } from "./chromium.mjs";

const [dist, out, ...only] = process.argv.slice(2);
const shot = keeper(out);
const { server, address } = await serve(dist);
const TINY = "?model=linear&batch_size=8&limit_train=512&limit_test=128&look_every=20";

async function race(name, query, work) {
  if (only.length && !only.includes(name)) return;
  const { browser, page, complaints } = await openAt(GPU, address + query, { viewport: { width: 1100, height: 900 } });
  try {
    await work(page, complaints);
  } catch (error) {
    expect(name, false, String(error));
  }
  await shot(page, `race-${name}`);
  await browser.close();
}

const steps = (page, count) => until(page, (count) => mexhat.lanes.every((lane) => lane.step >= count || lane.diverged) || mexhat.state() === "failed", count);

await race("alive", "", async (page, complaints) => {
  await until(page, () => document.querySelectorAll("#chain1 li").length > 0);
  const seen = await page.evaluate(() => {
    const canvas = document.getElementById("stream");
    const light = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v, i) => i % 4 === 0 && v > 200);
    const chains = [0, 1].map((i) => document.getElementById(`chain${i}`).innerText.replace(/\s+/g, " "));
    return { light, chains, said: document.getElementById("status").textContent, kernel: document.getElementById("kernel").width, past: mexhat.pictures().length };
  });
  expect("both networks are drawn before a race", seen.chains[0].includes("batch norm") && seen.chains[1].includes("whiten") && seen.chains[1].includes("5×5 convolution"), seen.chains.join(" | "));
  expect("digits stream by", seen.light);
  expect("the kernel waits as the identity", seen.kernel === 5 && seen.past === 0, String(seen.kernel));
  const rate = await page.textContent("#rate-value");
  expect("a smaller network and rate are chosen on a software adapter, and that is said", seen.chains[1].includes("8×28×28") && seen.said.includes("smaller") && rate === "0.05", `${seen.said} ${rate}`);
  const link = await page.evaluate(async () => (await import("./settings.js")).link(0.1));
  expect("a link repeats this race on any adapter", ["model=small", "batch_size=32", "limit_test=256", "seed=0", "lr=0.1"].every((word) => link.includes(word)), link);
  // The CPU plays GPU: where others want it, too, each waits for its turn.
  const load = loadavg()[0] / availableParallelism();
  const begun = Date.now();
  await page.click("#start");
  await until(page, () => mexhat.lanes.every((lane) => lane.accuracy.values.length && lane.loss.values.length) || mexhat.state() === "failed");
  const waited = (Date.now() - begun) / 1000;
  expect("losses and accuracies of both are there within 15 s of the click, where the machine has little else to do", waited < 15 * Math.max(1, load) || load > 2, `${waited.toFixed(1)} s, ${load.toFixed(1)} processes a core`);
  const [csv, png] = await page.evaluate(async () => {
    const charts = await import("./charts.js");
    return [charts.csv(["A", "B"], mexhat.lanes, "rate 0.1"), (await charts.picture()).size];
  });
  expect("curves are given as CSV, and charts as a picture", /^network,what,step,seconds,value,race\n"A",loss,1,[\d.]+,[\d.]+,"rate 0.1"\n/.test(csv) && csv.includes('"B",accuracy,') && png > 5000, `${csv.length} characters, ${png} bytes`);
  for (const [width, height] of [[1280, 800], [1440, 900]]) {
    await page.setViewportSize({ width, height });
    const [last, chart] = await page.evaluate(() => [document.getElementById("lane1").getBoundingClientRect().bottom, document.getElementById("loss").getBoundingClientRect().top]);
    expect(`after one click the results are in sight at ${width} by ${height}, and charts begin there`, last <= height && chart < height, `${last.toFixed(0)}, ${chart.toFixed(0)}`);
  }
  await page.screenshot({ path: join(out, "race-first-screen.png") });
  const quick = await page.evaluate(() => [document.getElementById("quick").hidden, document.querySelector("#lane1 td:nth-child(4)").textContent]);
  expect("an early accuracy is marked as an estimate", !quick[0] && quick[1].includes("≈"), quick.join());
  expect("nothing is refused by the page's own security policy", complaints.length === 0, complaints.join(" | "));
});

await race("phone", TINY, async (page) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.click("#start");
  await until(page, () => mexhat.lanes.every((lane) => lane.accuracy.values.length && lane.loss.values.length > 3) || mexhat.state() === "failed");
  await page.waitForTimeout(1000);
  const places = await page.evaluate(() => ["start", "lane1", "loss"].map((id) => document.getElementById(id).getBoundingClientRect()).map(({ top, bottom }) => [top, bottom]));
  expect("on a phone a click brings button, figures and the chart of losses in sight", places.every(([top, bottom]) => top >= 0 && bottom <= 844), JSON.stringify(places));
  await page.screenshot({ path: join(out, "race-phone-screen.png") });
});

await race("equal", `${TINY}&left=none&right=none&batch_size=64`, async (page) => {
  const introduced = await page.evaluate(() => [document.getElementById("left-name").textContent, document.getElementById("right-name").textContent, document.getElementById("claim").hidden, document.getElementById("lesson").hidden]);
  expect("two networks of one norm are told apart, and not called others; what was said of others is not, but there are races to try", introduced.join() === "no norm (left),no norm (right),true,false", introduced.join());
  expect("nothing is told of kernels, and the title names the networks", (await page.isHidden("#kernels")) && (await page.title()) === "mexhat: no norm (left) against no norm (right), live", await page.title());
  await page.click("#start");
  await steps(page, 160);
  const [ms, steps160] = await page.evaluate(() => [mexhat.lanes.map((lane) => lane.ms), mexhat.lanes.map((lane) => lane.accuracy.steps)]);
  expect("identical networks cost the same", Math.max(...ms) / Math.min(...ms) < 1.35, ms.map((v) => v.toFixed(2)).join(" and "));
  const same = Math.min(...steps160.map((list) => list.length));
  expect("both are judged at the same steps, early ones among them", [0, 1, 2, 5, 10, 20].every((step) => steps160.every((list) => list.includes(step))) && steps160[0].slice(0, same).join() === steps160[1].slice(0, same).join(), steps160[0].join());
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused");
  const paused = await page.evaluate(() => mexhat.lanes.map((lane) => lane.step));
  expect("a pause is at the same step of both", paused[0] === paused[1], paused.join());

  await page.locator("#settings summary").click();
  for (const key of ["3", "8"]) {
    await page.focus("#pad");
    await page.keyboard.press(key);
  }
  await page.click("#clear");
  await page.waitForTimeout(1500);
  const cleared = await page.evaluate(() => [document.getElementById("answer").textContent, [...document.querySelectorAll("#bars div span")].every((span) => span.style.width === "0px" || span.style.width === "0")]);
  expect("a late answer does not repaint a cleared pad", cleared[0].startsWith("Draw a digit") && cleared[1], cleared.join());
  await page.locator("#pad").scrollIntoViewIfNeeded();
  await page.locator("#pad").click({ position: { x: 140, y: 140 } });
  const dot = await page.evaluate(() => document.getElementById("pad").getContext("2d").getImageData(140, 140, 1, 1).data[3]);
  expect("a click draws a dot", dot > 200, String(dot));
  await page.click("#judge0");
  await until(page, () => mexhat.lanes.judged);
  await page.click("#reset");
  const reset = await page.evaluate(() => [document.getElementById("answer").textContent, document.getElementById("confusion").hidden, document.getElementById("judge-note").textContent, document.getElementById("said").textContent]);
  expect("a reset takes answers and mistakes along", reset[0].startsWith("Train a little") && reset[1] && !reset[2].includes("misreads") && reset[3] === "", reset.join(" | "));
});

await race("richer", TINY.replace("linear", "small"), async (page, complaints) => {
  await page.click("#start");
  await steps(page, 6);
  // Whoever looks at a digit sees what the layers make of it.
  await page.locator("#inside-section").scrollIntoViewIfNeeded();
  await page.locator("#samples button").nth(7).hover();
  await until(page, () => document.querySelectorAll("#inside > div").length === 2 || mexhat.state() === "failed");
  const seen = await page.evaluate(() => ({ note: document.getElementById("inside-note").textContent, texts: [...document.querySelectorAll("#inside figcaption")].map((one) => one.textContent), maps: document.querySelectorAll("#inside > div:first-child .maps-of:first-of-type canvas").length, bright: [...document.querySelectorAll("#inside canvas")].filter((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v, i) => i % 4 === 0 && v > 100)).length }));
  expect("each layer shows what it makes of the digit under the pointer", seen.note.startsWith("A 7,") && seen.texts.length === 6 && /^relu1, 8×28×28, \d+ % zero$/.test(seen.texts[0]) && seen.bright > 10, `${seen.note} ${seen.texts.join("; ")}; ${seen.bright} bright maps`);
  await page.focus("#pad");
  await page.keyboard.press("4");
  await until(page, () => document.getElementById("inside-note").textContent.startsWith("Your drawing,"));
  expect("and of a drawing", true);
  await shot(page, "race-inside");

  await page.evaluate(() => document.querySelector("#lesson a").click());
  await until(page, () => mexhat.state() === "running" && mexhat.lanes.every((lane) => lane.step > 4));
  const tried = await page.evaluate(async () => (await import("./settings.js")).current());
  expect("it is the smaller one of a software adapter", tried.model === "small" && tried.batch_size === 32, `${tried.model} ${tried.batch_size}`);
  const again = await page.evaluate(async () => ({ address: location.search, kept: document.getElementById("runs-list").innerText, link: document.querySelector("#runs-list a").href, rate: document.getElementById("rate-value").value, csv: (await import("./charts.js")).csv(["A", "B"], mexhat.lanes, "now") }));
  expect("a race to try begins at once, and the one before stays", again.address === "?lr=0.5" && again.rate === "0.5" && again.kept.includes("rate 0.05") && again.kept.includes("batch size 8") && /deconvolution \d+ % after \d+ steps/.test(again.kept), again.kept);
  expect("its link repeats it, and the curves have both", ["model=small", "batch_size=8", "lr=0.05"].every((word) => again.link.includes(word)) && again.csv.includes('"1: rate 0.05') && again.csv.includes('"now"'), again.link);
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused");
  await page.evaluate(() => document.querySelector(".charts").scrollIntoView());
  await shot(page, "race-overlaid");
  await page.evaluate(() => document.querySelectorAll("#lesson a")[3].click());
  await until(page, () => (mexhat.state() === "running" && mexhat.lanes.every((lane) => lane.step > 1)) || mexhat.state() === "failed");
  const deep = await page.evaluate(() => [document.querySelectorAll("#chain1 li").length, mexhat.pictures().at(-1)?.layers.length, document.querySelectorAll("#runs-list li").length]);
  expect("a deep network is a race to try", deep[0] > 20 && deep[2] === 2, deep.join());
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused");
  await page.click("#forget");
  expect("earlier races can be forgotten", await page.isHidden("#runs"));
  expect("nothing is in the console", complaints.length === 0, complaints.join(" | "));
});

await race("four", `${TINY}&third=none&fourth=deconv`, async (page, complaints) => {
  await until(page, () => document.querySelectorAll("#chain3 li").length > 0);
  const named = await page.evaluate(() => [document.querySelector("header p").textContent.replace(/\s+/g, " "), ...[...document.querySelectorAll(".lanes .name")].map((one) => one.textContent)]);
  expect("four networks are introduced, and told apart", named[0].startsWith("Four networks") && named.slice(1).join() === "Batch norm,Deconvolution (2),No norm,Deconvolution (4)", named.join("; "));
  await page.click("#start");
  await steps(page, 20);
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused");
  const found = await page.evaluate(() => ({ steps: mexhat.lanes.map((lane) => lane.step), losses: mexhat.lanes.map((lane) => lane.loss.values.join()), judged: mexhat.lanes.map((lane) => lane.accuracy.steps.join()), csv: document.querySelectorAll("#lane3 td").length }));
  expect("all are paused and judged at the same steps", new Set(found.steps).size === 1 && new Set(found.judged).size === 1, `${found.steps}; ${found.judged[0]}`);
  expect("two of one norm are the same to the bit, the others are not", found.losses[1] === found.losses[3] && new Set(found.losses).size === 3, found.losses.map((text) => text.slice(0, 20)).join("; "));
  await page.focus("#pad");
  await page.keyboard.press("5");
  await until(page, () => document.querySelectorAll("#bars li:first-child div span").length === 4);
  expect("all four read the drawing", (await page.textContent("#answer")).includes("Deconvolution (4)"), await page.textContent("#answer"));
  await page.click("#judge2");
  await until(page, () => mexhat.lanes.judged);
  expect("each can be asked for its mistakes", (await page.textContent("#judge-note")).startsWith("No norm misreads"), await page.textContent("#judge-note"));
  await page.locator("#settings summary").click();
  await page.click("#save3");
  await until(page, () => mexhat.lanes.saved);
  await shot(page, "race-four-lanes");
  await page.setViewportSize({ width: 390, height: 844 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect("four lanes fit a phone", wide <= 390, `${wide} px`);
  await page.selectOption('select[name="fourth"]', "off");
  await page.click("#reset");
  const rows = await page.evaluate(() => [document.querySelectorAll(".lanes tbody tr").length, document.querySelectorAll("#runs-list li").length, mexhat.lanes.length]);
  expect("a lane can be taken away", rows.join() === "3,1,3", rows.join());
  expect("nothing is in the console", complaints.length === 0, complaints.join(" | "));
});

await race("iterative", `${TINY.replace("linear", "small")}&left=iterative`, async (page, complaints) => {
  await until(page, () => document.querySelectorAll("#chain0 li").length > 0);
  await page.click("#start");
  await steps(page, 40);
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused");
  const found = await page.evaluate(() => ({ chain: document.getElementById("chain0").innerText, name: document.querySelector("#lane0 .name").textContent, losses: mexhat.lanes[0].loss.values, accuracy: mexhat.lanes[0].accuracy.values.at(-1) }));
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  expect("a network whose channels are whitened iteratively learns", found.name === "Iterative norm" && found.chain.includes("iterative norm") && mean(found.losses.slice(-8)) < 0.7 * mean(found.losses.slice(0, 8)), `${found.losses.slice(0, 3)} to ${found.losses.slice(-3)}, ${found.accuracy}`);

  // The hat in profile follows the scheme, and the race is still there when the page is loaded again.
  const ink = () => page.evaluate(() => {
    const copy = new OffscreenCanvas(320, 200).getContext("2d", { willReadFrequently: true });
    copy.drawImage(document.getElementById("profile"), 0, 0);
    const { data } = copy.getImageData(0, 0, 320, 200);
    // Of the line itself, which is blue in both schemes.
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255 && data[i + 2] > data[i] + 60) return data[i];
    return null;
  });
  const light = await ink();
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(200);
  const dark = await ink();
  expect("the profile of the kernel follows the scheme", light !== null && dark > light + 40, `red of the line ${light}, then ${dark}`);
  const ended = await page.evaluate(() => mexhat.lanes[0].step);
  await page.reload();
  await until(page, () => document.querySelectorAll("#runs-list li").length === 1);
  const kept = await page.textContent("#runs-list");
  expect("a race survives that the page is loaded again", kept.includes(`after ${ended} steps`) && kept.includes("iterative norm"), kept);
  await shot(page, "race-reloaded");
  await page.click("#forget");
  await page.reload();
  await page.waitForTimeout(300);
  expect("unless it is forgotten", await page.isHidden("#runs"));
  expect("nothing is in the console", complaints.length === 0, complaints.join(" | "));
});

await race("impatient", TINY, async (page) => {
  for (let i = 0; i < 3; i++) await page.click("#start", { force: true, timeout: 1000 }).catch(() => {});
  await until(page, () => mexhat.state() === "running" || mexhat.state() === "paused" || mexhat.state() === "failed");
  if ((await page.evaluate(() => mexhat.state())) === "paused") await page.click("#start");
  await steps(page, 5);
  expect("Start, Start, Start runs", (await page.evaluate(() => mexhat.state())) === "running");
});

// Weights that decay by more than themselves grow without end, in one network sooner than in the other.
await race("diverged", "?model=small&batch_size=16&limit_train=512&limit_test=64&left=none&right=batch&lr=5&weight_decay=1&momentum=0", async (page) => {
  await page.evaluate(() => {
    globalThis.said = [];
    new MutationObserver(() => said.push(document.getElementById("status").textContent)).observe(document.getElementById("status"), { childList: true, characterData: true, subtree: true });
  });
  await page.click("#start");
  await until(page, () => mexhat.lanes.some((lane) => lane.diverged) || mexhat.lanes[0].step > 300 || mexhat.state() === "failed");
  await page.waitForTimeout(500);
  const seen = await page.evaluate(() => ({ said: said.find((text) => text.includes("diverged")) ?? "", cells: document.querySelector("tbody").innerText }));
  expect("a divergence names its network and step, and says that the other goes on", /^(No|Batch) norm diverged at step \d+: .* goes on\.$/.test(seen.said) && !seen.said.includes("--lr"), seen.said);
  expect("the table has the step too", /diverged at step \d+/.test(seen.cells));
});

await race("middle", "?model=small&batch_size=8&limit_train=512&limit_test=64&left=deconv&right=batch", async (page) => {
  await page.click("#start");
  await until(page, () => mexhat.pictures().length > 0 || mexhat.state() === "failed");
  await page.locator("#settings summary").click();
  await page.locator('select[name="right"]').selectOption("deconv");
  const before = await page.evaluate(() => mexhat.pictures().length);
  await until(page, (before) => mexhat.pictures().length > before + 1 || mexhat.state() === "failed", before);
  expect("kernels on the left move on when the next race's settings change", true);
});

await race("many-points", TINY, async (page) => {
  const took = await page.evaluate(async () => {
    const { add, series } = await import("./charts.js");
    const line = series();
    for (let step = 1; step <= 50_000; step++) add(line, step, step / 100, 1);
    const halves = series();
    for (let step = 1; step <= 8000; step++) add(halves, step, step, step % 2);
    return [line.steps.length, Math.max(...line.values.map((v) => Math.abs(v - 1))), halves.values.at(-1), line.steps.at(-1)];
  });
  expect("50,000 steps are drawn as at most 4,000 points, each a mean", took[0] <= 4000 && took[1] < 1e-9 && took[2] === 0.5 && took[3] > 49_900, took.join());
});

await race("axis", TINY, async (page) => {
  const [[low, high], [, after]] = await page.evaluate(async () => {
    const { build, losses } = await import("./charts.js");
    const lane = (values, diverged) => ({ loss: { steps: [], seconds: [], values }, accuracy: { steps: [], seconds: [], values: [] }, diverged });
    const learns = lane(Array.from({ length: 200 }, (_, i) => (i === 120 ? 1e-7 : 2.3 * 0.98 ** i)));
    const wild = (diverged) => lane(Array.from({ length: 200 }, (_, i) => (i ? 40 + (i % 3) : 2.3)), diverged);
    build([], [learns, wild()]);
    const found = [losses()];
    build([], [learns, wild(200)]);
    return [...found, losses()];
  });
  expect("the axis of losses leaves out a single low one, and no network that is in the race", low > 1e-3 && low < 2.3 * 0.98 ** 199 && high > 40, `${low} to ${high}`);
  expect("but one that has diverged", after < 20, String(after));
});

server.close();
finish();
