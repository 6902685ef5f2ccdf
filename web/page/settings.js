// What the visitor chooses, kept in the page's address: ?seed=3&batch_size=32.
const form = document.querySelector("#settings form");
/** Numbers in the address: least, most, and whether they are whole. */
const NUMBERS = {
  seed: [0, 2 ** 53 - 1, true], batch_size: [1, 512, true], limit_train: [1, 60000, true], limit_test: [1, 10000, true], look_every: [1, 1e12, true],
  momentum: [0, 0.999, false], weight_decay: [0, 1, false], epochs: [1, 1e9, true], iterations: [1, 20, true], first_iterations: [1, 20, true],
  block: [1, 512, true], block_fc: [1, 2048, true], eps: [1e-12, 1, false], lr: [1e-6, 100, false],
};
const WORDS = ["model", "mode", "data", "left", "right", "third", "fourth"];
// Small blocks: nearly all of a step's cost is Newton-Schulz on large ones, and digits are learnt as well without.
const DEFAULTS = { left: "batch", right: "deconv", third: "off", fourth: "off", data: "glyphs", model: "lenet", limit_train: 4096, limit_test: 512, momentum: 0.9, batch_size: 64, iterations: 5, block: 4, block_fc: 64, mode: "paper", seed: 0, lr: 0.1 };
/** What a CPU that plays GPU is given instead, unless the address or the form says otherwise. */
const ON_SOFTWARE = { model: "small", batch_size: 32, limit_test: 256, lr: 0.05 };
export const LONG = { batch: "Batch norm", deconv: "Deconvolution", iterative: "Iterative norm", group: "Group norm", layer: "Layer norm", none: "No norm" };

const chosen = { ...DEFAULTS };
/** What of the address cannot be used, by name. */
const wrong = new Map();

function read(query) {
  for (const [name, [least, most, whole]] of Object.entries(NUMBERS)) {
    const text = query.get(name);
    if (text === null) continue;
    const value = text.trim() === "" ? NaN : Number(text);
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) chosen[name] = value;
    else wrong.set(name, `${name}: expected a ${whole ? "whole " : ""}number from ${least} to ${most}, found "${text}"`);
  }
  for (const name of WORDS) {
    const text = query.get(name);
    if (text === null) continue;
    const known = [...form.elements[name].options].map((option) => option.value);
    if (known.includes(text)) chosen[name] = text;
    else wrong.set(name, `${name}: expected ${known.join(", ")}, found "${text}"`);
  }
}

read(new URLSearchParams(location.search));
/** Names in the address that are no settings: other sites append theirs, so that they are only told of. */
export const unknown = [...new URLSearchParams(location.search).keys()].filter((name) => !(name in NUMBERS) && !WORDS.includes(name));

/** Takes the settings of an address in place of those there are. */
export function take(search) {
  const own = chosen.data === "own";
  for (const name of Object.keys(chosen)) delete chosen[name];
  wrong.clear();
  Object.assign(chosen, DEFAULTS, own && { data: "own" });
  read(new URLSearchParams(search));
  history.replaceState(null, "", search || location.pathname);
  show();
}

/** Makes data of the visitor's the choice; no address can carry it. */
export function offer(name) {
  let option = form.elements.data.querySelector('[value="own"]');
  if (!option) form.elements.data.append((option = Object.assign(document.createElement("option"), { value: "own" })));
  option.textContent = name;
  pick("data", "own");
}

/** Chooses for the visitor. */
export function pick(name, value) {
  choose(name, value);
  show();
}

/** What is special about a race of this rate, in words; `own` is what the visitor's data is called, if it is that. */
export function label(lr, own) {
  const others = Object.entries(chosen).filter(([name, value]) => value !== DEFAULTS[name] && !["lr", "left", "right", "third", "fourth"].includes(name));
  return [`rate ${lr}`, ...others.map(([name, value]) => (name === "data" && own ? `own data ${own}` : `${name.replace("_", " ")} ${value}`))].join(", ");
}

/** What of the address cannot be used, a line each. */
export const problems = () => [...wrong.values()].join("\n");

/** Leaves out of the address what cannot be used. */
export function forget() {
  const now = new URLSearchParams(location.search);
  for (const name of wrong.keys()) now.delete(name);
  wrong.clear();
  history.replaceState(null, "", now.size ? `?${now}` : location.pathname);
}

/** On a software adapter: a smaller race, where the visitor has not chosen. Returns whether anything became smaller. */
export function shrink() {
  const now = new URLSearchParams(location.search);
  const free = Object.entries(ON_SOFTWARE).filter(([name]) => !now.has(name) && chosen[name] === DEFAULTS[name]);
  Object.assign(chosen, Object.fromEntries(free));
  // A race to try is smaller, too, whatever the address says of this one.
  Object.assign(DEFAULTS, ON_SOFTWARE);
  show();
  return free.some(([name]) => name === "model");
}

/** Puts one choice into the address; a default needs no mention. */
export function choose(name, value) {
  chosen[name] = value;
  const now = new URLSearchParams(location.search);
  if (value === DEFAULTS[name] || value === "own") now.delete(name);
  else now.set(name, value);
  history.replaceState(null, "", now.size ? `?${now}` : location.pathname);
}

/** The address of this race at a learning rate, wherever it is opened: with what an adapter would choose otherwise. */
export function link(lr) {
  const now = new URLSearchParams(location.search);
  for (const name of [...Object.keys(ON_SOFTWARE), "seed"]) now.set(name, chosen[name]);
  now.set("lr", lr);
  return `${location.origin}${location.pathname}?${now}`;
}

function show() {
  for (const field of form.elements) if (field.name in chosen) field.value = chosen[field.name];
}

/** Norms of the networks that race. */
export const norms = () => [chosen.left, chosen.right, chosen.third, chosen.fourth].filter((norm) => norm !== "off");

/** Options of `mexhat train`, and how the race is shown. */
export function options() {
  const { left, right, third, fourth, data, ...rest } = chosen;
  return { ...rest, norms: norms() };
}

export const current = () => chosen;

/** Takes over the settings of a loaded network. */
export function adopt(net) {
  for (const name of ["model", "mode", "block", "block_fc", "iterations"]) if (name in net) choose(name, net[name]);
  show();
}

form.addEventListener("change", ({ target }) => {
  if (!target.checkValidity()) return target.reportValidity();
  if (target.value === "") return show();
  choose(target.name, target.type === "number" ? Number(target.value) : target.value);
  form.dispatchEvent(new CustomEvent("chosen", { bubbles: true }));
});
form.addEventListener("submit", (event) => event.preventDefault());
show();
