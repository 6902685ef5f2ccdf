// Chapter 6: accuracy over steps and over seconds, of the visitor's race and of recorded runs.
import { LANES, axes, colour, dot, even, path } from "../draw.js";
import { races } from "../replay.js";

const $ = (id) => document.getElementById(id);
let [lanes, names, seen] = [[], [], false];
/** Of the file `recorded.json`: `{ title, names, lanes: [{ steps, seconds, values }] }`. */
let recorded = [];

/** What is drawn: the names and a line of each. */
function shown() {
  const one = recorded[Number($("cost-run").value)];
  if ($("cost-run").value && one) return one;
  return { names, lanes: lanes.map(({ accuracy }) => accuracy) };
}

/** The visitor's own race has moved on. */
export function race(of, called) {
  [lanes, names] = [of, called];
  if (seen && !$("cost-run").value) draw();
}

function chart(canvas, by, name, { lanes: lines }, goal) {
  const known = lines.flatMap((line) => line[by]);
  const most = Math.max(...known) > 0 ? Math.max(...known) : 100;
  const { context, x, y, inside } = axes(canvas, { x: [0, most], y: [0, 1], names: [name, "test accuracy"], ticks: [even(0, most), [0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => [v, `${Math.round(100 * v)} %`])] });
  inside(() => {
    context.strokeStyle = colour("--soft");
    context.setLineDash([2, 3]);
    path(context, [[x(0), y(goal)], [x(most), y(goal)]]);
    lines.forEach((line, i) => {
      const [tint, dashes] = LANES[i];
      context.strokeStyle = context.fillStyle = colour(tint);
      context.lineWidth = 2;
      context.setLineDash(dashes);
      path(context, line[by].map((v, n) => [x(v), y(line.values[n])]));
      context.setLineDash([]);
      const at = line.values.findIndex((v) => v >= goal);
      if (at >= 0) dot(context, x(line[by][at]), y(line.values[at]), 5);
    });
  });
}

export function draw() {
  const goal = Number($("cost-goal").value);
  const of = shown();
  const text = `${Math.round(100 * goal)} %`;
  $("cost-goal-value").value = text;
  $("cost-goal").setAttribute("aria-valuetext", text);
  const ran = of.lanes.some((line) => line.values.length > 1);
  $("cost-note").textContent = !ran ? "Start the race above, or choose a recorded one." : of.lanes.map((line, i) => {
    const at = line.values.findIndex((v) => v >= goal);
    return at < 0 ? `${of.names[i]} has not reached ${text}.` : `${of.names[i]} reached ${text} after ${line.steps[at]} steps, ${line.seconds[at].toPrecision(2)} s of its own.`;
  }).join(" ");
  chart($("cost-steps"), "steps", "steps", of, goal);
  chart($("cost-seconds"), "seconds", "each network's own seconds", of, goal);
}

/** There is no race of the visitor's own, and there will be none. */
let alone = false;
export function onlyRecorded() {
  alone = $("cost-run").options[0].disabled = true;
  if (recorded.length) $("cost-run").value ||= "0";
  if (seen) draw();
}

async function begin() {
  seen = true;
  draw();
  recorded = await races();
  if (!recorded.length) return;
  $("cost-run").append(...recorded.map(({ title }, i) => new Option(title, i)));
  // What there is to see at once, until the visitor has something of their own.
  if (alone || !lanes.some(({ accuracy }) => accuracy.values.length > 1)) $("cost-run").value = "0";
  draw();
}

for (const id of ["cost-run", "cost-goal"]) $(id).addEventListener("input", draw);
addEventListener("resize", () => seen && draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => seen && draw());
new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  begin();
}, { rootMargin: "200px" }).observe($("cost"));
