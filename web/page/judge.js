// The table of what a network says to the test images, class by class, and the pictures behind its numbers.
import { canvasOf } from "./pixels.js";

const $ = (id) => document.getElementById(id);
/** Classes of the largest table; of more, the commonest mistakes are listed. */
const MOST = 16;
let wanted = [];
/** Names of the classes, and the shape of a picture. */
let [names, shape] = [[], [1, 28, 28]];

/** Of other data: its classes, and the shape of its pictures. */
export const of = (classes, size) => ([names, shape] = [classes, size]);

export function reset() {
  $("confusion").hidden = true;
  $("mistakes").replaceChildren();
  $("judge-note").textContent = "What each network says to the test images. Choose a number off the diagonal to see them.";
  wanted = [];
}

const made = (tag, text, scope) => {
  const one = Object.assign(document.createElement(tag), { textContent: text });
  if (scope) one.scope = scope;
  return one;
};

/** Fills the table; `ask` is called with the number of a picture that is wanted. */
export function show(name, { counts, mistakes }, ask) {
  const see = (label, guess) => () => pictures(label, guess, mistakes, ask);
  if (counts.length > MOST) list(name, counts, see);
  else table(name, counts, see);
  $("confusion").hidden = false;
  $("mistakes").replaceChildren();
  $("judge-note").textContent = `${name} misreads ${mistakes.length} of ${counts.flat().reduce((a, b) => a + b, 0)}.`;
}

function table(name, counts, see) {
  const head = document.createElement("tr");
  head.append(made("td", ""), ...names.map((guess) => made("th", guess, "col")));
  const rows = counts.map((row, label) => {
    const line = document.createElement("tr");
    const total = row.reduce((a, b) => a + b, 0) || 1;
    line.append(made("th", names[label], "row"), ...row.map((count, guess) => {
      const td = document.createElement("td");
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: count || "·", disabled: !count || guess === label });
      button.setAttribute("aria-label", said(count, names[label], names[guess]));
      button.style.background = `color-mix(in srgb, var(${guess === label ? "--deconv" : "--batch"}) ${Math.round((40 * count) / total)}%, var(--card))`;
      button.style.opacity = 1;
      button.addEventListener("click", see(label, guess));
      td.append(button);
      return td;
    }));
    return line;
  });
  $("confusion").replaceChildren(made("caption", `${name}: rows are what it is, columns what is read`), head, ...rows);
}

/** What stands in a cell, for who hears it. */
const said = (count, label, guess) => `${count} ${count === 1 ? "picture" : "pictures"} of ${label} read as ${guess}`;

/** The commonest mistakes, a row each. */
function list(name, counts, see) {
  const pairs = counts.flatMap((row, label) => row.map((count, guess) => ({ count, label, guess }))).filter(({ count, label, guess }) => count && label !== guess);
  const rows = pairs.sort((a, b) => b.count - a.count).slice(0, 2 * MOST).map(({ count, label, guess }) => {
    const [line, td] = [document.createElement("tr"), document.createElement("td")];
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: count });
    button.setAttribute("aria-label", said(count, names[label], names[guess]));
    button.addEventListener("click", see(label, guess));
    td.append(button);
    line.append(made("th", `${names[label]} read as ${names[guess]}`, "row"), td);
    return line;
  });
  $("confusion").replaceChildren(made("caption", `${name}: its commonest mistakes`), ...rows);
}

function pictures(label, guess, mistakes, ask) {
  wanted = mistakes.filter((one) => one.label === label && one.guess === guess).slice(0, 24);
  $("mistakes").replaceChildren(...wanted.map((one) => {
    const figure = document.createElement("figure");
    figure.dataset.index = one.index;
    figure.append(Object.assign(document.createElement("figcaption"), { textContent: `${names[guess]}, ${(100 * one.share).toFixed(0)} %` }));
    return figure;
  }));
  for (const one of wanted) ask(one.index);
}

/** A picture that was asked for. */
export function picture(index, pixels) {
  const figure = $("mistakes").querySelector(`figure[data-index="${index}"]`);
  const one = wanted.find((other) => other.index === index);
  if (!figure || !one || !pixels || figure.querySelector("canvas")) return;
  const canvas = canvasOf(pixels, shape);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${names[one.label]}, read as ${names[one.guess]}`);
  figure.prepend(canvas);
}
