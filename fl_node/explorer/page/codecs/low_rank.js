/** A matrix as fewer rows, mixed by random signs. */

import { randomSigns } from "../pcg64.js";
import { elements, floatsOf } from "../tensors.js";

/** @import { Codec } from "./codecs.js" */

/** @type {Codec} */
export const lowRank = {
  layout(knobs, shape) {
    const rows = Number(knobs.rank);
    if (passes(rows, shape)) return { values: { dtype: "F32", shape }, side: {} };
    const width = elements({ dtype: "F32", shape }) / shape[0];
    return { values: { dtype: "F32", shape: [rows, width] }, side: {} };
  },
  decode(knobs, values, _, shape, seed) {
    const rank = Number(knobs.rank);
    const sent = new Float32Array(floatsOf(values));
    if (passes(rank, shape)) return sent;
    const rows = shape[0];
    const width = sent.length / rank;
    const signs = randomSigns(seed, rank * rows);
    const decoded = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < width; i++) {
        let sum = signs[row] * sent[i];
        for (let k = 1; k < rank; k++) sum = Math.fround(sum + signs[k * rows + row] * sent[k * width + i]);
        decoded[row * width + i] = sum;
      }
    }
    return decoded;
  },
};

/** @param {number} rank @param {readonly number[]} shape @returns {boolean} whether the tensor travels unchanged */
function passes(rank, shape) {
  return shape.length < 2 || shape[0] <= rank;
}
