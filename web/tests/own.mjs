// The visitor's own pictures: node own.mjs DIST OUT
import { GPU, expect, finish, keeper, open, serve, until } from "./chromium.mjs";
import { drop as dropOn, idx, png, tarGz, zip } from "./files.mjs";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const [dist, out] = process.argv.slice(2);
const shot = keeper(out);
const { server, address } = await serve(dist);
const QUERY = "?model=small&batch_size=8&limit_train=512&limit_test=100&look_every=10";

/** Colours of the classes, and picture `i` of one: noise in its colour, in some size. */
const PETS = { cats: [220, 60, 40], dogs: [40, 190, 60], fish: [50, 80, 230] };
const pet = (name, i, side = 30 + (i % 7)) => png(side, side - 2, (x, y) => PETS[name].map((v, c) => Math.max(0, Math.min(255, v + ((i * 37 + x * (c + 3) * 17 + y * 29) % 71) - 35))));
const album = (count) => Object.keys(PETS).flatMap((name) => Array.from({ length: count }, (_, i) => [`pets/${name}/${i}.png`, pet(name, i)]));

const { browser, page, complaints } = await open(GPU, address + QUERY, { viewport: { width: 1200, height: 900 } });
const drop = (...list) => dropOn(page, list.map(([name, bytes, type = ""]) => [name, type, bytes]));
const note = () => page.textContent("#own-note");
const noted = (text) => until(page, (text) => document.getElementById("own-note").textContent.includes(text), text);
const steps = (count) => until(page, (count) => mexhat.lanes.every((lane) => lane.step >= count) || mexhat.state() === "failed", count);
const pause = async () => {
  await page.click("#start");
  await until(page, () => mexhat.state() === "paused" || mexhat.state() === "failed");
};

try {
  await page.click("#start");
  await steps(5);
  const whole = zip(album(20));
  await drop(["broken.zip", whole.subarray(0, whole.length - 40)]);
  await noted("cannot be used");
  const broken = await note();
  await drop(["unlike.safetensors", Buffer.from("no network")]);
  await until(page, () => document.getElementById("status").textContent.includes("unlike.safetensors cannot be used"));
  const [state, step] = await page.evaluate(() => [mexhat.state(), mexhat.lanes[0].step]);
  await steps(step + 4);
  expect("files of no use are refused in words, and the race goes on", state === "running" && broken.includes("broken.zip: expected a whole zip"), broken);
  await shot(page, "own-refused");

  // A JPEG and a WebP among them, which a browser makes, and one that is none.
  const [jpeg, webp] = await page.evaluate(() => Promise.all(["image/jpeg", "image/webp"].map(async (type) => {
    const canvas = new OffscreenCanvas(40, 33);
    const context = canvas.getContext("2d");
    context.fillStyle = "rgb(50 80 230)";
    context.fillRect(0, 0, 40, 33);
    return Array.from(new Uint8Array(await (await canvas.convertToBlob({ type })).arrayBuffer()));
  })));
  await drop(["pets.zip", zip([...album(20), ["pets/fish/a.jpg", Buffer.from(jpeg)], ["pets/fish/b.webp", Buffer.from(webp)], ["pets/fish/c.png", Buffer.from("none")]])]);
  await noted("pets.zip: 3 classes");
  const found = await page.evaluate(() => ({ note: document.getElementById("own-note").textContent, lines: document.getElementById("own-found").textContent, runs: document.getElementById("runs-list").innerText, address: location.search, state: mexhat.state(), subject: document.getElementById("subject").textContent }));
  expect("a zip of class folders is read, and a tenth of each class held back", found.note.includes("(cats, dogs, fish), 57 pictures of 32 by 32 to learn from and 5 to judge by") && found.lines.includes("10 % of each class held back for testing"), found.note);
  expect("what was left out and scaled is said", /skipped 1 file: pets\/fish\/c.png/.test(found.lines) && found.lines.includes("stretched to 32 x 32"), found.lines);
  expect("the race before stays, and the address keeps to what it can carry", found.runs.includes("rate 0.05") && found.state === "fresh" && !found.address.includes("own") && found.subject === "pictures", `${found.runs} ${found.address}`);
  await until(page, () => document.querySelectorAll("#samples button").length === 3);
  const seen = await page.evaluate(() => {
    const canvas = document.getElementById("stream");
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return { chain: document.getElementById("chain1").innerText.replace(/\s+/g, " "), red: data.some((v, i) => i % 4 === 0 && v > 150 && data[i + 2] < 100), blue: data.some((v, i) => i % 4 === 0 && v < 100 && data[i + 2] > 150), pad: document.getElementById("pad").hidden, title: document.getElementById("pad-title").textContent };
  });
  expect("its pictures stream by in colours, and the networks take them", seen.red && seen.blue && seen.chain.startsWith("picture 3×32×32"), seen.chain);
  expect("what cannot be drawn has no pad", seen.pad && seen.title === "What the networks say");
  await shot(page, "own-fresh");

  await page.click("#start");
  await steps(30);
  await page.locator("#inside-section").scrollIntoViewIfNeeded();
  await page.locator("#samples button").nth(1).hover();
  await until(page, () => document.getElementById("answer").textContent.includes("%") && document.querySelectorAll("#inside > div").length === 2);
  await pause();
  const raced = await page.evaluate(() => ({ status: document.getElementById("status").textContent, answer: document.getElementById("answer").textContent, bars: [...document.querySelectorAll("#bars li > span")].filter((one) => one.clientWidth > 20).map((one) => one.textContent), inside: document.getElementById("inside-note").textContent, accuracies: mexhat.lanes.map((lane) => lane.accuracy.values.at(-1)) }));
  expect("the networks learn the classes", raced.accuracies.every((accuracy) => accuracy > 0.6), raced.accuracies.join());
  expect("bars and answers have their names", raced.bars.join() === "cats,dogs,fish" && /Batch norm: (cats|dogs|fish) \(/.test(raced.answer) && raced.inside.startsWith("A picture of dogs,"), raced.answer);
  await page.click("#judge1");
  await until(page, () => mexhat.lanes.judged);
  const heads = await page.evaluate(() => [...document.querySelectorAll("#confusion th")].map((one) => one.textContent));
  expect("so has the table", heads.join() === "cats,dogs,fish,cats,dogs,fish", heads.join());
  const csv = await page.evaluate(async () => {
    const saved = [];
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => (saved.push(blob), make.call(URL, blob));
    document.getElementById("csv").click();
    document.getElementById("copy").click();
    return saved[0].text();
  });
  await until(page, () => /is copied|does not let/.test(document.getElementById("status").textContent));
  expect("curves say that the data is the visitor's own", csv.includes("own data pets.zip"), csv.slice(-80));
  await shot(page, "own-race");

  await page.evaluate(async () => (await import("./settings.js")).choose("limit_train", 12));
  await page.click("#reset");
  await page.click("#start");
  await steps(3);
  expect("fewer training images are read anew", (await page.textContent("#status")).includes("on 12 images of pets.zip"), await page.textContent("#status"));
  await pause();
  await page.evaluate(async () => (await import("./settings.js")).choose("limit_train", 512));

  // Folders of splits, of small pictures that stay as they are, and more classes than a table shows.
  const folder = mkdtempSync(join(tmpdir(), "mexhat-own-"));
  const many = Array.from({ length: 18 }, (_, k) => `kind ${String(k).padStart(2, "0")}`);
  for (const split of ["train", "test"]) {
    for (const [k, kind] of many.entries()) {
      for (const i of [0, 1]) {
        const path = join(folder, "kinds", split, kind, `${i}.png`);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, png(16, 16, (x, y) => [14 * k, 8 * x + i, 8 * y]));
      }
    }
  }
  await page.locator("#settings summary").click();
  await page.locator("#folder").setInputFiles(join(folder, "kinds"));
  await noted("kinds: 18 classes");
  expect("a folder with its own test pictures is read as it is", (await note()).includes("36 pictures of 16 by 16 to learn from and 36 to judge by"), await note());
  await page.click("#start");
  await steps(4);
  await pause();
  await page.click("#judge0");
  await until(page, () => mexhat.lanes.judged);
  const rows = await page.evaluate(() => [...document.querySelectorAll("#confusion th")].map((one) => one.textContent));
  expect("of many classes the commonest mistakes are listed", rows.length > 3 && rows.every((row) => /^kind \d\d read as kind \d\d$/.test(row)), rows.slice(0, 2).join("; "));
  await page.locator("#confusion button").first().click();
  await until(page, () => document.querySelectorAll("#mistakes canvas").length > 0);
  await shot(page, "own-many");
  rmSync(folder, { recursive: true });

  const batch = (count, at) => Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.concat([Buffer.from([(at + i) % 10]), Buffer.alloc(3072, (25 * (at + i)) % 250)])));
  const names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"].join("\n");
  const cifar = [1, 2, 3, 4, 5].map((i) => [`cifar-10-batches-bin/data_batch_${i}.bin`, batch(12, i)]);
  await drop(["cifar-10-binary.tar.gz", tarGz([...cifar, ["cifar-10-batches-bin/test_batch.bin", batch(20, 0)], ["cifar-10-batches-bin/batches.meta.txt", Buffer.from(names)]])]);
  await noted("cifar-10-binary.tar.gz: 10 classes (airplane");
  expect("CIFAR-10 as it is published is read", (await note()).includes("60 pictures of 32 by 32 to learn from and 20 to judge by"), await note());

  await drop(["train-images-idx3-ubyte", idx(40, true)], ["train-labels-idx1-ubyte", idx(40, false)]);
  await noted("IDX files: 10 classes");
  const drawn = await page.evaluate(() => [document.getElementById("pad").hidden, document.getElementById("pad-title").textContent]);
  expect("IDX files without a test split lose a tenth, and can be drawn", (await note()).includes("30 pictures of 28 by 28 to learn from and 10 to judge by") && drawn.join() === "false,Draw something", `${await note()} ${drawn}`);
  await drop(["one.zip", zip(album(2).filter(([name]) => name.includes("cats")))]);
  await noted("one.zip");
  expect("a single class is refused, and the data before stays", (await note()).includes("one class 'cats'") && (await note()).endsWith("What was there before (IDX files) stays."), await note());

  await page.click("#own-back");
  await until(page, () => document.getElementById("pad-title").textContent === "Draw a digit");
  await page.click("#start");
  await steps(2);
  expect("digits come back", (await page.textContent("#status")).includes("drawn digits"), await page.textContent("#status"));
  await pause();
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 390, height: 844 });
  await drop(["pets.zip", whole]);
  await noted("pets.zip: 3 classes");
  await until(page, () => document.querySelectorAll("#samples button").length === 3);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect("own data fits a phone", wide <= 390, `${wide} px`);
  await shot(page, "own-phone-dark");
  expect("nothing is in the console", complaints.length === 0, complaints.join("\n"));
} catch (error) {
  expect("the page can be driven", false, String(error));
  await shot(page, "own-failed");
}
await browser.close();
server.close();
finish();
