/** Weighted sums of updates: s = u_1 f_1, to which u_2 f_2, u_3 f_3 and so on are added. */

import { floatsOf, mapped, settled } from "../tensors.js";

/** @import { Tensor, Tensors } from "../tensors.js" */

/** Sums by tensor name, in float64. */
export class Sums {
  /** @type {Map<string, Float64Array>} */
  #sums = new Map();

  /** @param {string} name @param {Tensor} tensor of an update @param {number} factor */
  add(name, tensor, factor) {
    const values = floatsOf(tensor);
    const sum = this.#sums.get(name);
    if (sum) {
      for (let i = 0; i < sum.length; i++) sum[i] += values[i] * factor;
    } else {
      // It begins with the first product, not with +0: so a sum of -0 stays one.
      this.#sums.set(name, mapped(values, (value) => value * factor));
    }
  }

  /** @param {string} name @returns {Float64Array} */
  of(name) {
    return /** @type {Float64Array} */ (this.#sums.get(name));
  }
}

/** @param {Tensor} parent @param {Float64Array} sum overwritten @param {number} divisor @returns {Tensor} settled */
export function plusMean(parent, sum, divisor) {
  const before = floatsOf(parent);
  for (let i = 0; i < sum.length; i++) sum[i] = before[i] + sum[i] / divisor;
  return settled(parent, sum);
}

/** @param {Tensors} tensors @param {string} name @returns {Tensor} one that is there */
export function tensorOf(tensors, name) {
  return /** @type {Tensor} */ (tensors.get(name));
}
