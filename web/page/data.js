// MNIST from data/ beside the page: fetched and unpacked here, as much of it as a race needs.
export const FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
const CACHE = "mexhat-data";
/** Images of MNIST to train on, and bytes before and in each image. */
const [ALL, HEAD, IMAGE] = [60_000, 16, 784];

/** The name among FILES that a file goes by, whatever its ending. */
export const known = (name) => FILES.find((file) => name.replaceAll(".", "-").startsWith(file));

async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function* unpacked(stream) {
  const source = chunks(stream);
  const { done, value } = await source.next();
  if (done) return;
  const whole = new ReadableStream({
    start: (to) => to.enqueue(value),
    async pull(to) {
      const next = await source.next();
      if (next.done) to.close();
      else to.enqueue(next.value);
    },
    cancel: () => source.return(),
  });
  // Some hosts unpack .gz files on the way out.
  const packed = value[0] === 0x1f && value[1] === 0x8b;
  yield* chunks(packed ? whole.pipeThrough(new DecompressionStream("gzip")) : whole);
}

/** Bytes of MNIST's largest file: a small one that unpacks to more is none of its. */
const MOST = HEAD + IMAGE * ALL;

/** What a stream unpacks to, as far as the first `enough` bytes need it. */
async function bytes(stream, enough = Infinity) {
  const parts = [];
  let length = 0;
  for await (const part of unpacked(stream)) {
    parts.push(part);
    length += part.length;
    if (length > MOST) throw new Error(`it unpacks to more than MNIST's largest file, which has ${MOST} bytes`);
    if (length >= enough) break;
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The first items of an IDX file, as a file of their own; what is not one, or too short, stays for wasm to refuse. */
function first(file, items) {
  const head = 4 + 4 * file[3];
  if (file[0] || file[1] || file.length < head) return file;
  const view = new DataView(file.buffer);
  let size = 1;
  for (let at = 8; at < head; at += 4) size *= view.getUint32(at);
  const count = Math.min(items, view.getUint32(4));
  if (file.length < head + count * size) return file;
  const part = file.slice(0, head + count * size);
  new DataView(part.buffer).setUint32(4, count);
  return part;
}

/** The four files as a reader takes them, [[name, File]], cut to as many images as a race takes. */
export const cut = (files, train, test) =>
  Object.entries(files).map(([name, file]) => [name, new File([first(file, name.startsWith("train") ? train : test)], name)]);

async function response(url) {
  const cache = globalThis.caches ? await caches.open(CACHE).catch(() => null) : null;
  const kept = await cache?.match(url);
  if (kept) return kept;
  const fresh = await fetch(url);
  if (!fresh.ok) throw new Error(`${url}: ${fresh.status} ${fresh.statusText}`);
  // Goes on behind the scenes when the race needs only the beginning of a file.
  cache?.put(url, fresh.clone()).catch(() => {});
  return fresh;
}

/** Fetches all four files, of the large one as much as `train` images need; `progress` is told the bytes so far and of
 * how many. */
export async function fetchMnist(train, progress) {
  const files = {};
  let [done, total] = [0, 0];
  const share = Math.min(1, train / ALL);
  // The large file last, so that what comes first is enough to start with.
  for (const name of [...FILES].reverse()) {
    const large = name === FILES[0];
    const found = await response(`data/${name}.gz`);
    total += Math.round(Number(found.headers.get("content-length") ?? 0) * (large ? share : 1));
    const counted = new TransformStream({
      transform(part, to) {
        done += part.length;
        progress(done, Math.max(total, done));
        to.enqueue(part);
      },
    });
    files[name] = await bytes(found.body.pipeThrough(counted), large && share < 1 ? HEAD + IMAGE * train : Infinity);
  }
  return files;
}
