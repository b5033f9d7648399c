/** What the tensors of a model are: weights, statistics, averages; constants have no role. */

import { matches } from "./patterns.js";
import { isFloat } from "./tensors.js";

/** @import { Schema, Spec } from "./tensors.js" */

/** @typedef {{name: string, of: string, halfLife: bigint, unit: string}} Average */
/** @typedef {{statistics: string[], atLeastZero: string[], averages: Average[]}} Roles */
/** @typedef {"weight" | "statistic" | "average"} Role */

/** @param {Roles} roles @param {string} tensor @returns {Role} */
export function roleOf(roles, tensor) {
  if (averageOf(roles, tensor)) return "average";
  return matches(tensor, roles.statistics) ? "statistic" : "weight";
}

/**
 * @template {Spec} T
 * @param {Roles} roles
 * @param {Role} role
 * @param {ReadonlyMap<string, T>} tensors
 * @returns {Map<string, T>} those with this role
 */
export function only(roles, role, tensors) {
  return new Map([...tensors].filter(([name, spec]) => isFloat(spec) && roleOf(roles, name) === role));
}

/** @param {Roles} roles @param {string} tensor @returns {[Average, string] | null} and what it is the average of */
export function averageOf(roles, tensor) {
  const average = roles.averages.find(({ name }) => tensor.startsWith(`${name}.`));
  return average ? [average, average.of + tensor.slice(average.name.length)] : null;
}

/** @param {Roles} roles @param {string} tensor @returns {boolean} whether it is a statistic that is never negative */
export function isAtLeastZero(roles, tensor) {
  return roleOf(roles, tensor) === "statistic" && matches(tensor, roles.atLeastZero);
}

/** @param {Roles} roles @param {Schema} model @returns {string | null} why these tensors cannot be shared alone */
export function sharingObjection(roles, model) {
  for (const [name, spec] of model) {
    const source = averageOf(roles, name)?.[1];
    if (source === undefined) continue;
    const averaged = model.get(source);
    if (!averaged) return `${name} is the average of ${source}, which is not there`;
    if (isFloat(spec) !== isFloat(averaged)) return `${name} and ${source} are not both numbers with a fraction`;
  }
  return only(roles, "weight", model).size ? null : "no weight is shared";
}
