// Unpacks an .lzma file. Packed so, the wasm is a fifth smaller than with gzip, also on hosts that compress nothing.
export function unlzma(input) {
  const view = new DataView(input.buffer, input.byteOffset);
  const [lc, lp, pb] = [input[0] % 9, Math.floor(input[0] / 9) % 5, Math.floor(input[0] / 45)];
  const size = view.getUint32(5, true);
  const out = new Uint8Array(size);
  let [at, range, code] = [18, 0xffffffff, view.getUint32(14)];

  const table = (length) => new Uint16Array(length).fill(1024);
  const normalize = () => {
    if (range < 0x1000000) {
      range = (range << 8) >>> 0;
      code = ((code << 8) | input[at++]) >>> 0;
    }
  };
  const bit = (odds, i) => {
    const bound = (range >>> 11) * odds[i];
    const one = code >= bound;
    if (one) {
      range -= bound;
      code -= bound;
      odds[i] -= odds[i] >> 5;
    } else {
      range = bound;
      odds[i] += (2048 - odds[i]) >> 5;
    }
    normalize();
    return one ? 1 : 0;
  };
  const tree = (odds, base, bits) => {
    let m = 1;
    for (let i = 0; i < bits; i++) m = (m << 1) | bit(odds, base + m);
    return m - (1 << bits);
  };
  const reverse = (odds, base, bits) => {
    let [m, value] = [1, 0];
    for (let i = 0; i < bits; i++) {
      const b = bit(odds, base + m);
      m = (m << 1) | b;
      value |= b << i;
    }
    return value;
  };
  const direct = (bits) => {
    let value = 0;
    for (let i = 0; i < bits; i++) {
      range >>>= 1;
      const one = code >= range;
      if (one) code -= range;
      value = (value << 1) | (one ? 1 : 0);
      normalize();
    }
    return value;
  };
  const lengths = () => ({ choice: table(2), low: table(128), mid: table(128), high: table(256) });
  const length = ({ choice, low, mid, high }, place) => {
    if (!bit(choice, 0)) return tree(low, place << 3, 3);
    return bit(choice, 1) ? 16 + tree(high, 0, 8) : 8 + tree(mid, place << 3, 3);
  };

  const literals = table(0x300 << (lc + lp));
  const [isMatch, isLong, isRep, isRep0, isRep1, isRep2] = [192, 192, 12, 12, 12, 12].map(table);
  const [slots, special, align] = [256, 115, 16].map(table);
  const [fresh, repeated] = [lengths(), lengths()];
  let [state, pos] = [0, 0];
  let [rep0, rep1, rep2, rep3] = [0, 0, 0, 0];

  while (pos < size) {
    const place = pos & ((1 << pb) - 1);
    if (!bit(isMatch, (state << 4) | place)) {
      const before = pos ? out[pos - 1] : 0;
      const base = 0x300 * (((pos & ((1 << lp) - 1)) << lc) + (before >> (8 - lc)));
      let m = 1;
      if (state >= 7) {
        for (let match = out[pos - rep0 - 1]; m < 256; match <<= 1) {
          const wanted = (match >> 7) & 1;
          const b = bit(literals, base + ((1 + wanted) << 8) + m);
          m = (m << 1) | b;
          if (b !== wanted) break;
        }
      }
      while (m < 256) m = (m << 1) | bit(literals, base + m);
      out[pos++] = m;
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      continue;
    }
    let count;
    if (bit(isRep, state)) {
      if (!bit(isRep0, state)) {
        if (!bit(isLong, (state << 4) | place)) {
          state = state < 7 ? 9 : 11;
          out[pos] = out[pos - rep0 - 1];
          pos++;
          continue;
        }
      } else if (!bit(isRep1, state)) {
        [rep0, rep1] = [rep1, rep0];
      } else if (!bit(isRep2, state)) {
        [rep0, rep1, rep2] = [rep2, rep0, rep1];
      } else {
        [rep0, rep1, rep2, rep3] = [rep3, rep0, rep1, rep2];
      }
      count = length(repeated, place);
      state = state < 7 ? 8 : 11;
    } else {
      [rep1, rep2, rep3] = [rep0, rep1, rep2];
      count = length(fresh, place);
      state = state < 7 ? 7 : 10;
      const slot = tree(slots, Math.min(count, 3) << 6, 6);
      const bits = (slot >> 1) - 1;
      rep0 = slot;
      if (slot >= 4) {
        rep0 = (2 | (slot & 1)) << bits;
        rep0 += slot < 14 ? reverse(special, rep0 - slot, bits) : (direct(bits - 4) << 4) + reverse(align, 0, 4);
      }
    }
    if (rep0 >= pos) throw new Error("the packed file is damaged");
    for (const end = Math.min(size, pos + count + 2); pos < end; pos++) out[pos] = out[pos - rep0 - 1];
  }
  return out;
}
