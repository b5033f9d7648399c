/** The Euclidean norm of an update, in the order that the protocol gives. */

import { fsum } from "./exact.js";
import { byCodePoint } from "./json.js";
import { floatsOf } from "./tensors.js";

/** @import { Tensor, Tensors } from "./tensors.js" */

const LANES = 8192;

/** @param {Tensors} tensors @returns {number} infinite if an element is not finite */
export function norm(tensors) {
  const all = [...tensors.keys()].sort(byCodePoint).map((name) => floatsOf(/** @type {Tensor} */ (tensors.get(name))));
  // Lanes beyond the longest tensor would stay 0.
  const sums = new Float64Array(Math.min(LANES, Math.max(0, ...all.map(({ length }) => length))));
  for (const values of all) for (let i = 0; i < values.length; i++) sums[i % LANES] += values[i] * values[i];
  return sums.every(Number.isFinite) ? Math.sqrt(fsum(sums)) : Infinity;
}
