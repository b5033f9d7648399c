/** FedNova: the mean update per step, times the mean number of steps. */

import { nearest } from "../exact.js";
import { exact } from "../manifest.js";
import { rounded } from "./decimals.js";
import { plusMean, Sums, tensorOf } from "./sums.js";

/** @import { Ratio } from "../exact.js" */
/** @import { Rule } from "./combine.js" */

/** @type {Rule} */
export function fednova(knobs, parent, statistics) {
  const momentum = exact(knobs.momentum);
  const sums = new Sums();
  let examples = 0n;
  /** @type {Ratio} the sum of n_k a_k */
  let work = { over: 0n, under: 1n };
  /** @type {Ratio | null} a_1 */
  let first = null;
  return {
    add({ header, tensors }) {
      const count = header.examples;
      const weight = gradientWeight(header.steps, momentum);
      first ??= weight;
      examples += count;
      work = { over: work.over * weight.under + count * weight.over * work.under, under: work.under * weight.under };
      const factor = nearest({ over: count * first.over * weight.under, under: first.under * weight.over });
      for (const name of parent.keys()) {
        sums.add(name, tensorOf(tensors, name), statistics.has(name) ? Number(count) : factor);
      }
    },
    result() {
      const unit = /** @type {Ratio} */ (first);
      const divisor = nearest({
        over: examples * examples * unit.over * work.under,
        under: unit.under * work.over,
      });
      return new Map(
        [...parent].map(([name, tensor]) => {
          return [name, plusMean(tensor, sums.of(name), statistics.has(name) ? Number(examples) : divisor)];
        }),
      );
    },
  };
}

/** Digits behind the point with which the weight is computed before it is rounded to 40 significant ones. */
const PLACES = 200n;

/**
 * What the gradients of `steps` steps of SGD weigh: (t - r (1 - r^t) / (1 - r)) / (1 - r).
 * @param {bigint} steps
 * @param {Ratio} momentum below 1
 * @returns {Ratio}
 */
export function gradientWeight(steps, momentum) {
  if (!momentum.over) return { over: steps, under: 1n };
  const one = 10n ** PLACES;
  const r = (momentum.over * one) / momentum.under;
  const rest = one - r;
  const lost = (r * (one - power(r, steps, one))) / rest;
  return rounded({ over: steps * one - lost, under: rest }, 40);
}

/** @param {bigint} base @param {bigint} exponent @param {bigint} one what stands for 1 @returns {bigint} */
function power(base, exponent, one) {
  let result = one;
  for (let square = base; exponent; exponent >>= 1n, square = (square * square) / one) {
    if (exponent & 1n) result = (result * square) / one;
  }
  return result;
}
