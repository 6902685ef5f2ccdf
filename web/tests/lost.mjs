// A device that goes away in the middle of a race: both networks end with the bytes of a race that nothing happened to:
// node lost.mjs DIST
import { GPU, expect, finish, open, serve } from "./chromium.mjs";

const [dist] = process.argv.slice(2);
const { server, address } = await serve(dist, (path) => (path === "/favicon.ico" ? Buffer.alloc(0) : null));
/** 96 images in batches of 16, 10 times over. */
const OPTIONS = { model: "small", batch_size: 16, block: 4, block_fc: 64, mode: "paper", momentum: 0.9, seed: 3, lr: 0.05, limit_train: 96, limit_test: 32, epochs: 10, norms: ["batch", "deconv"] };
const STEPS = 60;

/**
 * What a race told and left: it is driven as the page does, and its device goes away after these steps of the right
 * network. Until `by` it is stepped by hand, with another learning rate from step `slower` on.
 */
function race(page, lost, [by, slower]) {
  return page.evaluate(([options, steps, lost, by, slower]) => new Promise((resolve, reject) => {
    const worker = new Worker("worker.js", { type: "module" });
    const found = { losses: [[], []], evals: [0, 0], kept: [], models: [] };
    const due = [...lost];
    let made = 0;
    const send = (type, rest = {}) => worker.postMessage({ type, ...rest });
    const begin = (type) => send(type, { options });
    const next = () => {
      if (made === by) return begin("start");
      made += 1;
      if (made === slower) send("rate", { lr: 0.02 });
      begin("step");
    };
    const answers = {
      failed: ({ kind, message }) => reject(new Error(`${kind}: ${message}`)),
      ready: next,
      paused: next,
      events({ events }) {
        for (const { event, lane, step, loss } of events) {
          if (event === "eval") found.evals[lane] += 1;
          if (event !== "step") continue;
          found.losses[lane].push([step, loss]);
          if (lane === 1 && step >= due[0]) {
            due.shift();
            send("lose");
          }
        }
      },
      recovered: ({ steps }) => found.kept.push(steps),
      over: () => [0, 1].forEach((lane) => send("save", { lane })),
      saved({ lane, bytes }) {
        found.models[lane] = Array.from(bytes);
        if (found.models[0] && found.models[1]) {
          worker.terminate();
          resolve(found);
        }
      },
    };
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }) => answers[data.type]?.(data);
  }), [OPTIONS, STEPS, lost, by, slower]);
}

/** How many bytes of two networks differ. */
const apart = (a, b) => a.models.map((bytes, lane) => bytes.filter((byte, i) => byte !== b.models[lane][i]).length + Math.abs(bytes.length - b.models[lane].length));

try {
  const { browser, page, complaints } = await open(GPU, `${address}style.css`);
  for (const [name, how, lost] of [
    ["a race", [0, 0], [1, 30, STEPS - 1]],
    ["a race that began step by step, with another learning rate from the third on", [5, 3], [4, 40]],
  ]) {
    const undisturbed = await race(page, [], how);
    expect(`${name} ends`, undisturbed.losses.every((lane) => lane.length === STEPS && lane.every(([, loss]) => loss > 0)), `${undisturbed.models.map((bytes) => bytes.length).join(" and ")} bytes, losses ${undisturbed.losses.map((lane) => [0, 2, 5, 20, 40, 59].map((i) => lane[i][1].toPrecision(3)).join(" ")).join("; ")}`);
    const found = await race(page, lost, how);
    const told = found.losses.every((lane, i) => JSON.stringify(lane) === JSON.stringify(undisturbed.losses[i]));
    expect(`${name}, lost after steps ${lost.join(", ")}: each step is told once, with its loss`, told && found.kept.length === lost.length, `from steps ${found.kept.map((steps) => steps.join("/")).join(", ")}`);
    expect(`${name}, lost after steps ${lost.join(", ")}: the same bytes in the end`, apart(found, undisturbed).join() === "0,0", `${apart(found, undisturbed).join(" and ")} differ`);
  }
  const strange = complaints.filter((text) => !/device|destroyed|lost/i.test(text));
  expect("the browser complains of nothing but the device", strange.length === 0, strange.join(" | "));
  await browser.close();
} catch (error) {
  expect("races can be disturbed", false, String(error));
} finally {
  server.close();
}
finish();
