// Questions about pictures to a worker of its own, which does the arithmetic on the GPU: one at a time, in order. Where
// there is no GPU, recorded answers.
/** Failures of the worker after which there is something to show all the same. */
const NO_GPU = ["no-webgpu", "no-adapter"];
let worker = null, asked = 0, recording = null, told = () => {};
const waiting = new Map();

/** Called once, should answers be recorded ones: why, and with the settings that were recorded. */
export const onRecorded = (listener) => (told = listener);

function fail(message) {
  worker?.terminate();
  worker = null;
  for (const { reject } of waiting.values()) reject(new Error(message));
  waiting.clear();
}

async function begin(why) {
  const engine = await import("./recording.js");
  await engine.file("generate");
  told(why, engine.controls);
  return engine;
}

/** Goes on with recorded answers, first to what has been asked already. */
function replay(why) {
  recording = begin(why);
  for (const { question, resolve, reject } of waiting.values()) recording.then(({ answer }) => answer(...question)).then(resolve, reject);
  waiting.clear();
  worker.terminate();
}

function start() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onerror = (error) => fail(error.message || "the worker could not be loaded");
  worker.onmessage = ({ data }) => {
    if (data.type === "failed") return NO_GPU.includes(data.kind) ? replay(data.kind) : fail(data.message);
    if (data.type !== "told") return;
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.message === undefined) resolve(data.value);
    else reject(new Error(data.message));
  };
}

/** What the engine says; refused with its words. */
export async function ask(...question) {
  if (recording) return (await recording).answer(...question);
  if (!worker) start();
  const [name, ...args] = question;
  return new Promise((resolve, reject) => {
    waiting.set(++asked, { question, resolve, reject });
    worker.postMessage({ type: "call", name, args, id: asked });
  });
}
