// Chapter 3: the covariance of patches, entry by entry.
import { colour, surface } from "../draw.js";

const $ = (id) => document.getElementById(id);
const COLOURS = ["red", "green", "blue"];
let found = null;
/** Row and column that are pointed at, and whether the matrix after D is shown. */
let at = [4, 13], after = false;

export const place = "patches";
export const question = () => ["covariance", 3, 15];

export function connect() {
  const matrix = $("matrix");
  const follow = (pointer) => {
    if (!found) return;
    const box = matrix.getBoundingClientRect();
    const index = (share) => Math.min(found.d - 1, Math.max(0, Math.floor(share * found.d)));
    point([index((pointer.clientY - box.top) / box.height), index((pointer.clientX - box.left) / box.width)], false);
  };
  // A finger comes down where it points, and need not move.
  for (const kind of ["pointermove", "pointerdown"]) matrix.addEventListener(kind, follow);
  matrix.addEventListener("focus", () => found && point(at, true));
  matrix.addEventListener("keydown", (key) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key.key];
    if (!by || !found) return;
    key.preventDefault();
    point(at.map((v, i) => Math.min(found.d - 1, Math.max(0, v + by[i]))), true);
  });
  for (const [id, which] of [["cov-before", false], ["cov-after", true]]) {
    $(id).addEventListener("click", () => {
      after = which;
      $("cov-before").setAttribute("aria-pressed", String(!after));
      $("cov-after").setAttribute("aria-pressed", String(after));
      if (found) draw();
    });
  }
}

export function show(next) {
  found = next;
  at = at.map((v) => Math.min(v, found.d - 1));
  draw();
}

function point(next, spoken) {
  at = next;
  // A screen reader is told what its keys reach, not what a pointer passes.
  $("entry").setAttribute("aria-live", spoken ? "polite" : "off");
  draw();
}

/** Colour, row and column of an entry. */
function pixel(index) {
  const area = found.k * found.k;
  return [Math.floor(index / area), Math.floor((index % area) / found.k), index % found.k];
}

const named = ([c, row, column]) => `${found.channels > 1 ? `${COLOURS[c]}, ` : ""}row ${row + 1}, column ${column + 1}`;

/** The patch, a grid for each colour, with the two pixels. */
function patch() {
  const { context, width, height } = surface($("patch"));
  const { k, channels } = found;
  const side = Math.min((width - 24) / channels / (k + 0.6), (height - 20) / k, 26);
  const [first, second] = at.map(pixel);
  for (let c = 0; c < channels; c++) {
    const left = (width - channels * side * (k + 0.6)) / 2 + c * side * (k + 0.6);
    context.textAlign = "center";
    context.fillStyle = colour("--soft");
    context.fillText(channels > 1 ? COLOURS[c] : "brightness", left + (side * k) / 2, 12);
    for (let row = 0; row < k; row++) {
      for (let column = 0; column < k; column++) {
        const is = (one) => one[0] === c && one[1] === row && one[2] === column;
        const [x, y] = [left + column * side, 18 + row * side];
        context.fillStyle = is(first) ? colour("--batch") : colour("--line");
        context.fillRect(x + 1, y + 1, side - 2, side - 2);
        if (!is(second)) continue;
        context.strokeStyle = colour("--deconv");
        context.lineWidth = 4;
        context.strokeRect(x + 3, y + 3, side - 6, side - 6);
      }
    }
  }
}

export function draw() {
  const canvas = $("matrix");
  canvas.width = canvas.height = found.d;
  canvas.getContext("2d").putImageData(new ImageData(found.colours[Number(after)], found.d, found.d), 0, 0);
  // The frame of the entry is an element, so that it is as sharp as the screen.
  const frame = $("matrix-at").style;
  const share = 100 / found.d;
  [frame.left, frame.top, frame.width, frame.height] = [at[1] * share, at[0] * share, share, share].map((v) => `${v}%`);
  patch();
  const values = after ? found.after : found.before;
  const value = values[at[0] * found.d + at[1]];
  $("entry").textContent = `${named(pixel(at[0]))} with ${named(pixel(at[1]))}: ${value.toFixed(2).replace("-0.00", "0.00")}`;
  const [before, then] = found.conditions.map((v) => (v < 100 ? v.toPrecision(2) : Math.round(v).toLocaleString("en")));
  $("cov-note").textContent = `${found.patches.toLocaleString("en")} patches. Largest over smallest eigenvalue: ${before} before D, ${then} after 15 steps.`;
  canvas.setAttribute("aria-label", `Covariance of the picture's patches ${after ? "after" : "before"} D, ${found.d} by ${found.d}; the arrow keys go from entry to entry`);
}
