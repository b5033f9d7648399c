/** What an update says of itself, and which way it points: numbers to look at, on which no verdict rests. */

import { floatsOf } from "./tensors.js";

/** @import { Tensor, Tensors } from "./tensors.js" */
/** @import { Valid } from "./validity.js" */

/**
 * @typedef {object} Stated
 * @property {number} bytes in the store
 * @property {number} norm of the decoded update, without what is published with it
 * @property {string} codec
 * @property {string} steps
 * @property {Readonly<Record<string, string | null>>} metrics decimals by name; null where none was measured
 */

/** @param {Valid | undefined} valid @returns {Stated | null} */
export function statedOf(valid) {
  if (!valid) return null;
  const { codec, steps, metrics } = valid.header;
  return { bytes: valid.bytes, norm: valid.norm, codec, steps: String(steps), metrics };
}

/** The sum of updates, each times its examples: it points where their mean does. */
export class Direction {
  /** @type {Map<string, Float64Array>} */
  #sums = new Map();

  /** @param {Tensors} tensors @param {number} weight */
  add(tensors, weight) {
    for (const [name, tensor] of tensors) {
      const values = floatsOf(tensor);
      const sum = this.#sums.get(name) ?? new Float64Array(values.length);
      for (let i = 0; i < sum.length; i++) sum[i] += weight * values[i];
      this.#sums.set(name, sum);
    }
  }

  /** @param {Tensors} tensors one of those that were added @returns {number | null} -1 to 1; null if either does not move */
  cosine(tensors) {
    let [product, here, there] = [0, 0, 0];
    for (const [name, sum] of this.#sums) {
      const values = floatsOf(/** @type {Tensor} */ (tensors.get(name)));
      for (let i = 0; i < sum.length; i++) {
        product += sum[i] * values[i];
        here += values[i] * values[i];
        there += sum[i] * sum[i];
      }
    }
    const cosine = product / (Math.sqrt(here) * Math.sqrt(there));
    return Number.isFinite(cosine) ? cosine : null;
  }
}
