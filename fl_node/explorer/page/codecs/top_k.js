/** Chosen elements, with their positions in Elias-Fano code. */

import { BadData } from "../faults.js";
import { exact } from "../manifest.js";
import { elements, floatsOf } from "../tensors.js";

/** @import { Codec } from "./codecs.js" */

/** @type {Codec} */
export const topK = {
  layout(knobs, shape) {
    const size = elements({ dtype: "F32", shape });
    const { over, under } = exact(knobs.fraction);
    const count = Number((over * BigInt(size) + under - 1n) / under);
    const width = lowWidth(count, size);
    const indices = count * width + Math.ceil(highBits(count, size, width) / 8);
    return { values: { dtype: "F32", shape: [count] }, side: { indices: { dtype: "U8", shape: [indices] } } };
  },
  decode(_, values, { indices }, shape) {
    const sent = floatsOf(values);
    const decoded = new Float32Array(elements({ dtype: "F32", shape }));
    positions(indices.bytes, sent.length, decoded.length).forEach((at, i) => {
      decoded[at] = sent[i];
    });
    return decoded;
  },
};

/** @param {number} count @param {number} size @returns {number} low bytes of each position, for the shortest code */
function lowWidth(count, size) {
  const bits = Array.from({ length: 8 }, (_, width) => 8 * count * width + highBits(count, size, width));
  return bits.indexOf(Math.min(...bits));
}

/** @param {number} count @param {number} size @param {number} width @returns {number} */
function highBits(count, size, width) {
  return Math.floor((size - 1) / 256 ** width) + count;
}

/** @param {Uint8Array} packed @param {number} count @param {number} size @returns {number[]} */
function positions(packed, count, size) {
  const width = lowWidth(count, size);
  const high = packed.subarray(count * width);
  /** @type {number[]} */
  const found = [];
  for (let bit = 0; bit < 8 * high.length; bit++) {
    if (!((high[bit >> 3] >> (bit & 7)) & 1)) continue;
    const i = found.length;
    if (i >= count || bit >= highBits(count, size, width)) malformed("too many bits, or one beyond the last");
    let low = 0;
    for (let byte = width - 1; byte >= 0; byte--) low = low * 256 + packed[i * width + byte];
    found.push((bit - i) * 256 ** width + low);
  }
  if (found.length !== count) malformed(`${found.length} positions for ${count} elements`);
  found.forEach((at, i) => {
    if (at >= size || (i > 0 && at <= found[i - 1])) malformed("positions that do not ascend");
  });
  return found;
}

/** @param {string} what @returns {never} */
function malformed(what) {
  throw new BadData("malformed", `malformed positions: ${what}`);
}
