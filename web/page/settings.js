// What the visitor chooses, kept in the page's address: ?seed=3&batch_size=32.
const form = document.querySelector("#settings form");
const NUMBERS = ["seed", "batch_size", "limit_train", "limit_test", "look_every", "momentum", "weight_decay", "epochs", "iterations", "first_iterations", "block", "block_fc", "eps", "lr"];
const WORDS = ["model", "mode", "data", "left", "right"];
// Small blocks: nearly all of a step's cost is Newton-Schulz on large ones, and digits are learnt as well without.
const DEFAULTS = { left: "batch", right: "deconv", data: "glyphs", model: "lenet", limit_train: 4096, limit_test: 512, momentum: 0.9, batch_size: 64, iterations: 5, block: 4, block_fc: 64, mode: "paper", seed: 0 };
export const LONG = { batch: "Batch norm", deconv: "Deconvolution", none: "No norm" };

const query = new URLSearchParams(location.search);
const chosen = { ...DEFAULTS };
for (const name of NUMBERS) if (query.has(name) && query.get(name) !== "" && isFinite(query.get(name))) chosen[name] = Number(query.get(name));
for (const name of WORDS) {
  const field = form.elements[name];
  if (query.has(name) && [...field.options].some((option) => option.value === query.get(name))) chosen[name] = query.get(name);
}

/** Puts one choice into the address; a default needs no mention. */
export function choose(name, value) {
  chosen[name] = value;
  const now = new URLSearchParams(location.search);
  if (value === DEFAULTS[name]) now.delete(name);
  else now.set(name, value);
  history.replaceState(null, "", now.size ? `?${now}` : location.pathname);
}

function show() {
  for (const field of form.elements) if (field.name in chosen) field.value = chosen[field.name];
}

/** Options of `mexhat train`, and how the race is shown. */
export function options() {
  const { left, right, data, ...rest } = chosen;
  return { ...rest, norms: [left, right] };
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
