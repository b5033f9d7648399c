/** The mean of the updates, weighted by examples or plain. */

import { plusMean, Sums, tensorOf } from "./sums.js";

/** @import { Rule } from "./combine.js" */

/** @type {Rule} */
export function weightedMean(knobs, parent) {
  const sums = new Sums();
  let total = 0n;
  return {
    add({ header, tensors }) {
      const weight = knobs.weights === "equal" ? 1n : header.examples;
      total += weight;
      for (const name of parent.keys()) sums.add(name, tensorOf(tensors, name), Number(weight));
    },
    result() {
      return new Map([...parent].map(([name, tensor]) => [name, plusMean(tensor, sums.of(name), Number(total))]));
    },
  };
}
