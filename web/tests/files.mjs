// Small data sets, made by the tests themselves.
import { crc32, deflateSync, gzipSync } from "node:zlib";

const words = (...values) => {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32BE(value, 4 * i));
  return bytes;
};

/** A PNG whose pixel at (x, y) has the colours `at(x, y)`. */
export function png(width, height, at) {
  const chunk = (name, body) => {
    const named = Buffer.concat([Buffer.from(name), body]);
    return Buffer.concat([words(body.length), named, words(crc32(named))]);
  };
  const rows = Array.from({ length: height }, (_, y) => [0, ...Array.from({ length: width }, (_, x) => at(x, y)).flat()]);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", Buffer.concat([words(width, height), Buffer.from([8, 2, 0, 0, 0])])),
    chunk("IDAT", deflateSync(Buffer.from(rows.flat()))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** A zip of `[name, bytes]`, stored. */
export function zip(files) {
  const [parts, index] = [[], []];
  let at = 0;
  for (const [name, bytes] of files) {
    const [title, head] = [Buffer.from(name), Buffer.alloc(26)];
    [20, 0, 0, 0, 0].forEach((value, i) => head.writeUInt16LE(value, 2 * i));
    [crc32(bytes), bytes.length, bytes.length].forEach((value, i) => head.writeUInt32LE(value, 10 + 4 * i));
    head.writeUInt16LE(title.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    parts.push(Buffer.from("PK\x03\x04"), head, title, bytes);
    index.push(Buffer.from("PK\x01\x02\x14\x00"), head, place, title);
    at += 30 + title.length + bytes.length;
  }
  const list = Buffer.concat(index);
  const end = Buffer.alloc(18);
  [files.length, files.length].forEach((value, i) => end.writeUInt16LE(value, 4 + 2 * i));
  [list.length, at].forEach((value, i) => end.writeUInt32LE(value, 8 + 4 * i));
  return Buffer.concat([...parts, list, Buffer.from("PK\x05\x06"), end]);
}

/** A gzipped tar of `[name, bytes]`. */
export function tarGz(files) {
  const parts = files.flatMap(([name, bytes]) => {
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write("0000644\0" + "0000000\0" + "0000000\0", 100);
    head.write(`${bytes.length.toString(8).padStart(11, "0")}\0${"0".repeat(11)}\0        0`, 124);
    head.write("ustar\x0000", 257);
    head.write(`${head.reduce((a, b) => a + b, 0).toString(8).padStart(6, "0")}\0 `, 148);
    return [head, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(1024)]));
}

/** An IDX file of `count` items: pictures of a stripe whose place is their label, or these labels. */
export function idx(count, pictures) {
  const head = Buffer.from(pictures ? [0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28] : [0, 0, 8, 1, 0, 0, 0, 0]);
  head.writeUInt32BE(count, 4);
  const items = Buffer.alloc(pictures ? 784 * count : count);
  for (let i = 0; i < count; i++) {
    const label = (i * 7) % 10;
    if (!pictures) items[i] = label;
    else for (let at = 0; at < 784; at++) items[784 * i + at] = Math.floor(at / 28 / 2.8) === label ? 200 + ((i * 31 + at * 17) % 50) : (i * 13 + at * at) % 40;
  }
  return Buffer.concat([head, items]);
}

/** Drops files on the page: `[name, type, bytes]`. */
export async function drop(page, list) {
  const handle = await page.evaluateHandle((list) => {
    const transfer = new DataTransfer();
    for (const [name, type, text] of list) transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
    return transfer;
  }, list.map(([name, type, bytes]) => [name, type, bytes.toString("base64")]));
  await page.dispatchEvent("body", "drop", { dataTransfer: handle });
}
