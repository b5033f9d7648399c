/** How updates become the next model: the rules by their names in a manifest. */

import { NotCheckedHere } from "../faults.js";
import { only } from "../roles.js";
import { modelOf, nameInSlot, slotOf } from "../state.js";
import { elements, floatsOf, mapped, settled } from "../tensors.js";
import { derivedAverages } from "./averages.js";
import { controlVariates } from "./control.js";
import { fednova } from "./fednova.js";
import { krum } from "./krum.js";
import { median, trimmedMean } from "./robust.js";
import { adagrad, adam, momentum, yogi } from "./server_optimisers.js";
import { weightedMean } from "./weighted_mean.js";
import { isAtLeastZero } from "../roles.js";

/** @import { Choice, Manifest } from "../manifest.js" */
/** @import { Tensor, Tensors } from "../tensors.js" */
/** @import { Update } from "../validity.js" */

/**
 * @typedef {object} Combining takes the updates one by one, with clients ascending
 * @property {(update: Update) => void} add
 * @property {() => Map<string, Tensor>} result after at least one update
 */

/**
 * @callback Rule
 * @param {Choice} knobs
 * @param {Tensors} parent weights and statistics, and as `server.SLOT.NAME` the rule's own slots
 * @param {ReadonlySet<string>} statistics the names of those that are not weights
 * @returns {Combining}
 */

/** @type {Readonly<Record<string, Rule>>} */
const RULES = {
  weighted_mean: weightedMean,
  momentum,
  adagrad,
  adam,
  yogi,
  fednova,
  median,
  trimmed_mean: trimmedMean,
  krum,
};

/**
 * Everything that moves in a round.
 *
 * @param {Manifest} manifest
 * @param {Tensors} parent the state that the round started from
 * @returns {Combining} whose result is the next state; without an update it is the parent
 */
export function combining(manifest, parent) {
  const model = modelOf(parent);
  const statistics = only(manifest.roles, "statistic", model);
  const moved = new Map([...only(manifest.roles, "weight", model), ...statistics]);
  for (const slot of manifest.slots) {
    if (manifest.sent.includes(slot)) continue;
    for (const [name, tensor] of slotOf(parent, slot)) moved.set(nameInSlot(slot, name), tensor);
  }
  const rule = RULES[manifest.combine.kind](manifest.combine, moved, new Set(statistics.keys()));
  const variates = manifest.sent.includes("control") ? controlVariates(manifest, parent) : null;
  /** @type {bigint[]} */
  const steps = [];
  return {
    add(update) {
      steps.push(update.header.steps);
      rule.add(update);
      variates?.add(update);
    },
    result() {
      if (!steps.length) return new Map(parent);
      const state = new Map([...parent, ...rule.result(), ...(variates?.result() ?? [])]);
      for (const [name, tensor] of modelOf(state)) {
        if (isAtLeastZero(manifest.roles, name)) state.set(name, withoutNegative(tensor));
      }
      for (const [name, tensor] of derivedAverages(manifest.roles, parent, state, steps)) state.set(name, tensor);
      refuseNoNumbers(state);
      return state;
    },
  };
}

/** @param {Tensor} tensor @returns {Tensor} with +0 in place of each element that is not above 0 */
function withoutNegative(tensor) {
  return settled(tensor, mapped(floatsOf(tensor), (value) => (value > 0 ? value : 0)));
}

/** @param {Tensors} state */
function refuseNoNumbers(state) {
  for (const [name, tensor] of state) {
    const floats = ["F64", "F32", "F16"].includes(tensor.dtype) && elements(tensor);
    // Which bits a NaN has is the machine's choice in JavaScript.
    if (floats && floatsOf(tensor).includes(NaN)) throw new NotCheckedHere(`a NaN in ${name}`);
  }
}
