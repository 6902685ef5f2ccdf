// Questions about pictures to a worker of its own, which does the arithmetic on the GPU: one at a time, in order.
let worker = null, asked = 0;
const waiting = new Map();

function fail(message) {
  worker?.terminate();
  worker = null;
  for (const { reject } of waiting.values()) reject(new Error(message));
  waiting.clear();
}

function start() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onerror = (error) => fail(error.message || "the worker could not be loaded");
  worker.onmessage = ({ data }) => {
    if (data.type === "failed") return fail(data.message || "this browser offers no WebGPU");
    if (data.type !== "told") return;
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.message === undefined) resolve(data.value);
    else reject(new Error(data.message));
  };
}

/** What the engine says; refused with its words. */
export function ask(name, ...args) {
  if (!worker) start();
  return new Promise((resolve, reject) => {
    waiting.set(++asked, { resolve, reject });
    worker.postMessage({ type: "call", name, args, id: asked });
  });
}
