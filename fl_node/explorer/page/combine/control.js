/** SCAFFOLD's control variates: c + S (d_1 + d_2 + ...) / K. */

import { nearest } from "../exact.js";
import { exact } from "../manifest.js";
import { nameInSlot, slotOf } from "../state.js";
import { plusMean, Sums, tensorOf } from "./sums.js";

/** @import { Manifest } from "../manifest.js" */
/** @import { Tensors } from "../tensors.js" */
/** @import { Combining } from "./combine.js" */

const CONTROL = "control";

/** @param {Manifest} manifest @param {Tensors} parent @returns {Combining} */
export function controlVariates(manifest, parent) {
  const control = slotOf(parent, CONTROL);
  const step = nearest(exact(manifest.train.step));
  const sums = new Sums();
  return {
    add({ tensors }) {
      for (const name of control.keys()) sums.add(name, tensorOf(tensors, `${CONTROL}.${name}`), 1);
    },
    result() {
      return new Map(
        [...control].map(([name, tensor]) => {
          const scaled = sums.of(name).map((sum) => sum * step);
          return [nameInSlot(CONTROL, name), plusMean(tensor, scaled, manifest.members.length)];
        }),
      );
    },
  };
}
