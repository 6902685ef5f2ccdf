// What each layer of each network makes of one digit: that under the pointer, or the one that was drawn.
import { canvasOf } from "./pixels.js";

const $ = (id) => document.getElementById(id);
/** Milliseconds between two answers about the same digit while the networks learn. */
const PAUSE = 700;
let ask = () => {};
/** The digit that is looked at, the button that it came from, and what is known of the networks. */
let [pixels, chosen, learnt, asking, asked, seen, drawing] = [null, null, false, false, 0, false, null];

/** What is looked at, (C,H,W). */
export const of = () => pixels;

/** `send` takes `{ pixels }` to the networks. */
export const connect = (send) => (ask = send);

function question() {
  if (!pixels || !learnt || asking || !seen) return;
  [asking, asked] = [true, performance.now()];
  ask({ pixels });
}

/** Looks at other pixels, called `name`. */
export function look(other, name, button = null) {
  for (const one of $("samples").children) one.setAttribute("aria-pressed", String(one === button));
  [pixels, chosen] = [Uint8Array.from(other), name];
  $("inside-note").textContent = learnt ? `${name}, through the networks as they are now.` : `${name}: start the race to see what the layers make of it.`;
  question();
}

/** Pictures to choose from, `[{ name, pixels }]` of this shape; `what` they are, a digit or a picture. */
export function offer(pictures, shape, what) {
  $("samples").setAttribute("aria-label", `${what[0].toUpperCase()}${what.slice(1)}s`);
  $("inside-title").textContent = `What each layer makes of a ${what}`;
  const called = (name) => (what === "digit" ? `A ${name}` : `A ${what} of ${name}`);
  $("samples").replaceChildren(...pictures.map(({ name, pixels: own }) => {
    const button = Object.assign(document.createElement("button"), { type: "button", ariaLabel: called(name), title: name });
    button.append(canvasOf(own, shape));
    for (const kind of ["pointerenter", "focus", "click"]) button.addEventListener(kind, () => look(own, called(name), button));
    return button;
  }));
  const first = pictures[Math.min(3, pictures.length - 1)];
  if (!pixels && first) look(first.pixels, called(first.name), $("samples").children[pictures.indexOf(first)]);
}

/** Other data: nothing of it has been looked at. */
export function forget() {
  [pixels, chosen, drawing] = [null, null, null];
  $("samples").replaceChildren();
}

/** Values as a picture, brighter where they are larger. */
function picture(canvas, values, most) {
  const image = new ImageData(canvas.width, canvas.height);
  values.forEach((v, i) => image.data.fill(Math.min(255, (255 * Math.max(0, v)) / most), 4 * i, 4 * i + 3));
  for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** What is on the pad, told whenever it is read; another digit may be looked at until it changes. */
export function drawn(other) {
  if (drawing?.every((v, i) => v === other[i])) return;
  drawing = Uint8Array.from(other);
  look(other, "Your drawing");
}

/** Another race. */
export function reset() {
  [learnt, asking] = [false, false];
  $("inside").replaceChildren();
  form = "";
  if (pixels) $("inside-note").textContent = `${chosen}: start the race to see what the layers make of it.`;
}

/** The networks have learnt. */
export function changed() {
  const first = !learnt;
  learnt = true;
  if (first || performance.now() - asked > PAUSE) question();
}

/** What comes out of each ReLU, and of the last layer. */
const shown = (layers) => layers.filter(({ name }, at) => /^(relu|sigmoid)/.test(name) || at === layers.length - 1);

/** What the boxes are for. */
let form = "";

/** Makes boxes for these layers; they stay as long as the networks do, for collecting canvases takes time. */
function furnish(networks, names) {
  const next = JSON.stringify([names, networks.map((layers) => layers.map(({ name, shape }) => [name, shape]))]);
  if (next === form) return;
  form = next;
  $("inside").replaceChildren(...networks.map((layers, i) => {
    const box = document.createElement("div");
    box.append(Object.assign(document.createElement("h3"), { textContent: names[i] }));
    for (const { name, shape } of layers) {
      const [channels, height, width] = shape.length === 3 ? shape : [1, 1, shape[0]];
      const maps = Object.assign(document.createElement("div"), { className: shape.length === 3 ? "maps-of" : "maps-of flat" });
      maps.append(...Array.from({ length: channels }, () => Object.assign(document.createElement("canvas"), { width, height })));
      maps.setAttribute("role", "img");
      maps.setAttribute("aria-label", `${names[i]}: what ${name} makes of it`);
      const figure = document.createElement("figure");
      figure.append(document.createElement("figcaption"), maps);
      box.append(figure);
    }
    return box;
  }));
}

/** The answer: of each network `[{ name, shape, values }]`. */
export function show(networks, names) {
  asking = false;
  $("inside-note").textContent = `${chosen}, through the networks as they are now.`;
  const all = networks.map(shown);
  furnish(all, names);
  all.forEach((layers, i) => layers.forEach(({ name, shape, values }, n) => {
    const figure = $("inside").children[i].querySelectorAll("figure")[n];
    const canvases = figure.querySelectorAll("canvas");
    const [most, area] = [values.reduce((a, b) => Math.max(a, b), 0) || 1, values.length / canvases.length];
    canvases.forEach((canvas, c) => picture(canvas, values.subarray(c * area, (c + 1) * area), most));
    const dead = values.filter((v) => v <= 0).length / values.length;
    figure.firstChild.textContent = `${name}, ${shape.join("×")}${/^relu/.test(name) ? `, ${(100 * dead).toFixed(0)} % zero` : shape.length === 1 ? ": the brightest is what it says" : ""}`;
  }));
}

new IntersectionObserver((entries) => {
  seen = entries.at(-1).isIntersecting;
  question();
}).observe($("inside-section"));
