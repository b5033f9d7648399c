/** Averages that nobody sends: ema' = keep ema + (1 - keep) w, where keep = 0.5^(s / h). */

import { nearest } from "../exact.js";
import { averageOf, only } from "../roles.js";
import { modelOf } from "../state.js";
import { floatsOf, mapped, settled } from "../tensors.js";
import { exponential, logarithmOfHalf, rounded } from "./decimals.js";

/** @import { Average, Roles } from "../roles.js" */
/** @import { Tensor, Tensors } from "../tensors.js" */

const DIGITS = 50;

/**
 * @param {Roles} roles
 * @param {Tensors} parent the state before the round
 * @param {Tensors} state the state after it, but for the averages
 * @param {readonly bigint[]} steps of the included updates, at least one
 * @returns {Map<string, Tensor>} the averages that move
 */
export function derivedAverages(roles, parent, state, steps) {
  /** @type {Map<string, Tensor>} */
  const derived = new Map();
  for (const [name, before] of only(roles, "average", modelOf(parent))) {
    const [average, source] = /** @type {[Average, string]} */ (averageOf(roles, name));
    const followed = state.get(source);
    if (!followed || String(followed.shape) !== String(before.shape)) continue;
    const [keep, add] = decay(average, steps);
    const [old, model] = [floatsOf(before), floatsOf(followed)];
    derived.set(name, settled(before, mapped(old, (value, i) => value * keep + model[i] * add)));
  }
  return derived;
}

/** @param {Average} average @param {readonly bigint[]} steps @returns {[number, number]} what is kept, and the rest */
export function decay(average, steps) {
  const sum = steps.reduce((total, one) => total + one, 0n);
  const counted = { over: sum, under: BigInt(steps.length) };
  const passed = average.unit === "steps" ? rounded(counted, DIGITS) : { over: 1n, under: 1n };
  const half = logarithmOfHalf(DIGITS);
  const product = rounded({ over: half.over * passed.over, under: half.under * passed.under }, DIGITS);
  const exponent = rounded({ over: product.over, under: product.under * average.halfLife }, DIGITS);
  // Far below the least float64; the rest of 1 is 1 to 50 digits.
  if (exponent.over < -1000n * exponent.under) return [0, 1];
  const keep = exponential(exponent, DIGITS);
  return [nearest(keep), nearest(rounded({ over: keep.under - keep.over, under: keep.under }, DIGITS))];
}
