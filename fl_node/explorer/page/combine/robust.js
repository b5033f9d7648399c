/** The median and the trimmed mean of each element. */

import { exact } from "../manifest.js";
import { elements, floatsOf, settled } from "../tensors.js";
import { tensorOf } from "./sums.js";

/** @import { Rule } from "./combine.js" */
/** @import { Tensor, Tensors } from "../tensors.js" */

/** @type {Rule} */
export const median = (_, parent) =>
  byRank(parent, (ranked) => {
    const count = ranked.length;
    return (ranked[(count - 1) >> 1] + ranked[count >> 1]) / 2;
  });

/** @type {Rule} */
export const trimmedMean = (knobs, parent) => {
  const share = exact(knobs.share);
  return byRank(parent, (ranked) => {
    const cut = Number((share.over * BigInt(ranked.length)) / share.under);
    let sum = ranked[cut];
    for (let i = cut + 1; i < ranked.length - cut; i++) sum += ranked[i];
    return sum / (ranked.length - 2 * cut);
  });
};

/** @param {Tensors} parent @param {(ranked: Float64Array) => number} estimate of an element's values, ascending */
function byRank(parent, estimate) {
  /** @type {Map<string, Tensor>[]} */
  const held = [];
  return {
    /** @param {{tensors: Map<string, Tensor>}} update */
    add({ tensors }) {
      held.push(tensors);
    },
    result() {
      return new Map([...parent].map(([name, tensor]) => [name, moved(name, tensor)]));
    },
  };

  /** @param {string} name @param {Tensor} tensor @returns {Tensor} */
  function moved(name, tensor) {
    const before = floatsOf(tensor);
    const all = held.map((tensors) => floatsOf(tensorOf(tensors, name)));
    const ranked = new Float64Array(held.length);
    const next = new Float64Array(elements(tensor));
    for (let i = 0; i < next.length; i++) {
      for (let k = 0; k < all.length; k++) ranked[k] = all[k][i] + 0; // -0 counts as +0
      ranked.sort();
      next[i] = before[i] + estimate(ranked);
    }
    return settled(tensor, next);
  }
}
