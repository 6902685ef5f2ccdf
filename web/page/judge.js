// The 10 x 10 table of what a network says to the test images, and the pictures behind its numbers.
const $ = (id) => document.getElementById(id);
let wanted = [];

export function reset() {
  $("confusion").hidden = true;
  $("mistakes").replaceChildren();
  $("judge-note").textContent = "What each network says to the test images. Choose a number off the diagonal to see them.";
  wanted = [];
}

/** Fills the table; `ask` is called with the number of a picture that is wanted. */
export function show(name, { counts, mistakes }, ask) {
  const cell = (tag, text, scope) => {
    const made = Object.assign(document.createElement(tag), { textContent: text });
    if (scope) made.scope = scope;
    return made;
  };
  const head = document.createElement("tr");
  head.append(cell("td", ""), ...counts.map((_, guess) => cell("th", guess, "col")));
  const rows = counts.map((row, label) => {
    const line = document.createElement("tr");
    const total = row.reduce((a, b) => a + b, 0) || 1;
    line.append(cell("th", label, "row"), ...row.map((count, guess) => {
      const td = document.createElement("td");
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: count || "·", disabled: !count || guess === label });
      button.setAttribute("aria-label", `${count} pictures of ${label} read as ${guess}`);
      button.style.background = `color-mix(in srgb, var(${guess === label ? "--deconv" : "--batch"}) ${Math.round((40 * count) / total)}%, var(--card))`;
      button.style.opacity = 1;
      button.addEventListener("click", () => pictures(label, guess, mistakes, ask));
      td.append(button);
      return td;
    }));
    return line;
  });
  $("confusion").replaceChildren(Object.assign(document.createElement("caption"), { textContent: `${name}: rows are the digit, columns what is read` }), head, ...rows);
  $("confusion").hidden = false;
  $("mistakes").replaceChildren();
  $("judge-note").textContent = `${name} misreads ${mistakes.length} of ${counts.flat().reduce((a, b) => a + b, 0)}.`;
}

function pictures(label, guess, mistakes, ask) {
  wanted = mistakes.filter((one) => one.label === label && one.guess === guess).slice(0, 24);
  $("mistakes").replaceChildren(...wanted.map((one) => {
    const figure = document.createElement("figure");
    const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `A ${label} that is read as ${guess}`);
    canvas.dataset.index = one.index;
    figure.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: `${guess}, ${(100 * one.share).toFixed(0)} %` }));
    return figure;
  }));
  for (const one of wanted) ask(one.index);
}

/** A picture that was asked for. */
export function picture(index, pixels) {
  const canvas = $("mistakes").querySelector(`canvas[data-index="${index}"]`);
  if (!canvas || !pixels) return;
  const image = new ImageData(28, 28);
  pixels.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}
