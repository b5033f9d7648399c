/** Krum: the updates that are closest to their nearest neighbours. */

import { fsum } from "../exact.js";
import { byCodePoint } from "../json.js";
import { floatsOf } from "../tensors.js";
import { plusMean, Sums, tensorOf } from "./sums.js";

/** @import { Rule } from "./combine.js" */
/** @import { Tensor, Tensors } from "../tensors.js" */

const LANES = 1024;

/** @type {Rule} */
export function krum(knobs, parent, statistics) {
  /** @type {Map<string, Tensor>[]} */
  const held = [];
  return {
    add({ tensors }) {
      held.push(tensors);
    },
    result() {
      const byzantine = Math.min(Number(knobs.byzantine), Math.floor((held.length - 3) / 2));
      if (byzantine < 0) return new Map(parent);
      const weights = [...parent.keys()].filter((name) => !statistics.has(name)).sort(byCodePoint);
      const neighbours = held.length - byzantine - 2;
      const scores = held.map((one) => {
        const others = held.filter((other) => other !== one);
        const distances = others.map((other) => squaredDistance(weights, one, other));
        return fsum(distances.sort((a, b) => a - b).slice(0, neighbours));
      });
      // A stable sort: of equal scores the lower address comes first.
      const order = held.map((_, i) => i).sort((a, b) => scores[a] - scores[b]);
      const best = order.slice(0, Math.min(Number(knobs.keep), held.length - byzantine)).sort((a, b) => a - b);
      const sums = new Sums();
      for (const i of best) for (const name of parent.keys()) sums.add(name, tensorOf(held[i], name), 1);
      return new Map([...parent].map(([name, tensor]) => [name, plusMean(tensor, sums.of(name), best.length)]));
    },
  };
}

/** @param {readonly string[]} names @param {Tensors} left @param {Tensors} right @returns {number} */
function squaredDistance(names, left, right) {
  const sums = new Float64Array(LANES);
  for (const name of names) {
    const [a, b] = [left, right].map((tensors) => floatsOf(tensorOf(tensors, name)));
    for (let i = 0; i < a.length; i++) {
      const difference = a[i] - b[i];
      sums[i % LANES] += difference * difference;
    }
  }
  return fsum(sums);
}
