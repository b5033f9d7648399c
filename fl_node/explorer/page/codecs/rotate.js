/** A Walsh-Hadamard transform in blocks, then random signs. */

import { randomSigns } from "../pcg64.js";
import { elements, floatsOf } from "../tensors.js";

/** @import { Codec } from "./codecs.js" */

const ABREAST = 128;

/** @type {Codec} */
export const rotate = {
  layout(_, shape) {
    return { values: { dtype: "F32", shape: [elements({ dtype: "F32", shape })] }, side: {} };
  },
  decode(knobs, values, _, __, seed) {
    const decoded = new Float32Array(floatsOf(values));
    const block = Number(knobs.block);
    for (let start = 0; start < decoded.length; ) {
      const left = decoded.length - start;
      const rows = Math.min(block, 2 ** (31 - Math.clz32(left)));
      const columns = Math.min(ABREAST, Math.floor(left / rows));
      transform(decoded.subarray(start, start + rows * columns), rows, columns);
      start += rows * columns;
    }
    const signs = randomSigns(seed, decoded.length);
    for (let i = 0; i < decoded.length; i++) decoded[i] *= signs[i];
    return decoded;
  },
};

/** @param {Float32Array} matrix whose columns are blocks @param {number} rows @param {number} columns */
function transform(matrix, rows, columns) {
  for (let distance = 1; distance < rows; distance *= 2) {
    for (let row = 0; row < rows; row++) {
      if (row & distance) continue;
      const [upper, lower] = [row * columns, (row + distance) * columns];
      for (let i = 0; i < columns; i++) {
        const [a, b] = [matrix[upper + i], matrix[lower + i]];
        matrix[upper + i] = a + b;
        matrix[lower + i] = a - b;
      }
    }
  }
  const factor = Math.fround(1 / Math.sqrt(rows));
  for (let i = 0; i < matrix.length; i++) matrix[i] *= factor;
}
