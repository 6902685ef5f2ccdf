// The visitor's own data: files that are dropped or chosen, read by a worker of its own. They never leave the computer.
import { FILES, known } from "./data.js";

/** Most files of a folder; a zip may have as many as it likes. */
const MOST_FILES = 100_000;
const ARCHIVE = /\.(zip|tar|tgz|gz)$/i;
const CIFAR = /^(data_batch_\d|test_batch|train|test)(\.bin)?$/;
const base = (path) => path.slice(path.lastIndexOf("/") + 1);

let worker = null, refuse = () => {};
/** What was given, what it was read with, and what was found. */
let given = null;
/** Files of MNIST that came one by one. */
let collected = new Map();

/** `{ name, shape, classes, lines, train, test, … }`, or null. */
export const current = () => given?.found ?? null;

/** What is read of files: `name` for messages, `files` [[path, File]]; `progress` hears the share that is done. Refused
 * in words. */
export function read(name, files, options, progress = () => {}) {
  worker?.terminate();
  refuse(new Error("other files were given meanwhile"));
  return new Promise((resolve, reject) => {
    refuse = reject;
    worker = new Worker("reader.js", { type: "module" });
    worker.postMessage({ name, files, options });
    const end = () => {
      worker.terminate();
      worker = null;
    };
    worker.onmessage = ({ data }) => {
      if (data.progress !== undefined) return progress(data.progress);
      end();
      if (data.found) resolve(data.found);
      else reject(new Error(data.failed));
    };
    worker.onerror = ({ message }) => {
      end();
      reject(new Error(message || "the reader could not be loaded"));
    };
  });
}

/** What is in a folder, which browsers give in parts. */
async function children(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return all;
    all.push(...part);
  }
}

async function walk(entry, path, found) {
  if (entry.isFile) {
    found.push([path, await new Promise((resolve, reject) => entry.file(resolve, reject))]);
    few(found);
  } else {
    for (const child of await children(entry)) await walk(child, `${path}/${child.name}`, found);
  }
}

function few(found) {
  if (found.length > MOST_FILES) throw new Error(`the folder has more than ${MOST_FILES.toLocaleString("en")} files; drop a part of it, or a zip of it`);
}

/** What was dropped, folders and all, as [[path, File]]. */
export async function dropped({ items, files }) {
  // Gone once this function waits.
  const plain = [...files].map((file) => [file.name, file]);
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return plain;
  const found = [];
  for (const entry of entries) await walk(entry, entry.name, found);
  return found;
}

/** What was chosen, folders and all, as [[path, File]]. */
export function chosen(files) {
  const found = [...files].map((file) => [file.webkitRelativePath || file.name, file]);
  few(found);
  return found;
}

/** Whether these are to be read as data, and not a network or a photo. */
export const isData = (list) => list.some(([path]) => path.includes("/") || ARCHIVE.test(path) || known(path) || CIFAR.test(path));

/** How many of MNIST's files are still waited for, where they come one by one; with `list` they are one more. */
export function missing(list) {
  if (!list.every(([path]) => known(path))) return 0;
  if (list.length === 1) collected.set(known(list[0][0]), list[0]);
  else collected = new Map(list.map((one) => [known(one[0]), one]));
  // Images and labels to learn from are enough where they come together.
  return list.length > 1 || collected.size === FILES.length ? 0 : FILES.length - collected.size;
}

/** What the files are called. */
function called(list) {
  if (list.every(([path]) => known(path))) return "IDX files";
  const [top] = list[0][0].split("/");
  if (list.every(([path]) => path.startsWith(`${top}/`))) return top;
  return list.length < 3 ? list.map(([path]) => path).join(" and ") : `${list.length} files`;
}

const wanted = ({ seed, limit_train, limit_test }) => ({ seed, limit_train, limit_test });

/** Takes files as the data; what was there before stays when they are refused. */
export async function take(list, options, progress) {
  const files = list.every(([path]) => known(path)) && collected.size ? [...collected.values()] : list;
  const name = called(files);
  const reading = wanted(options);
  // Whatever becomes of them: a file that is refused is not to stay among those that come after it.
  collected = new Map();
  const found = await read(name, files, reading, progress);
  given = { name, files, reading, found };
  return found;
}

/** The data as these options want it: read again where they want more, less or another part. */
export async function ready(options, progress) {
  const reading = wanted(options);
  if (JSON.stringify(reading) !== JSON.stringify(given.reading)) {
    given = { ...given, reading, found: await read(given.name, given.files, reading, progress) };
  }
  return given.found;
}
