/** The global state: the model, and beside it the server's state as `server.SLOT.NAME`. */

import { NotCheckedHere } from "./faults.js";
import { only } from "./roles.js";
import { integersOf, sameSpec } from "./tensors.js";

/** @import { Roles } from "./roles.js" */
/** @import { Schema, Spec, Tensor, Tensors } from "./tensors.js" */

const SERVER = "server.";
const PUBLISHED = "published";

/**
 * @template T
 * @param {ReadonlyMap<string, T>} state
 * @returns {Map<string, T>} without the server's state
 */
export function modelOf(state) {
  return new Map([...state].filter(([name]) => !name.startsWith(SERVER)));
}

/**
 * @template T
 * @param {ReadonlyMap<string, T>} state
 * @param {string} slot
 * @returns {Map<string, T>} one slot, by the tensors' names
 */
export function slotOf(state, slot) {
  const prefix = nameInSlot(slot, "");
  return new Map([...state].filter(([name]) => name.startsWith(prefix)).map(([name, one]) => [name.slice(prefix.length), one]));
}

/** @param {string} slot @param {string} name @returns {string} */
export function nameInSlot(slot, name) {
  return `${SERVER}${slot}.${name}`;
}

/** @param {Tensors} state untrusted @returns {Map<string, Spec>} what each member publishes, by its name in the model */
export function publishedOf(state) {
  /** @type {Map<string, Spec>} */
  const published = new Map();
  for (const [name, tensor] of slotOf(state, PUBLISHED)) {
    if (tensor.dtype !== "I64" || tensor.shape.length !== 1) continue;
    const shape = [...integersOf(tensor)];
    if (!shape.every((size) => size > 0n)) continue;
    if (shape.some((size) => size > BigInt(Number.MAX_SAFE_INTEGER))) {
      throw new NotCheckedHere(`a published tensor with more elements than this page counts: ${name}`);
    }
    published.set(name, { dtype: "F32", shape: shape.map(Number) });
  }
  return published;
}

/**
 * @param {Schema} model
 * @param {readonly string[]} slots that the manifest's choices keep for each weight
 * @param {Roles} roles
 * @param {Schema} published
 * @returns {Map<string, Spec> | string} the schema of every state of the task; or why it has none
 */
export function stateSchema(model, slots, roles, published) {
  const reserved = [...slots, PUBLISHED].map((slot) => `${slot}.`);
  for (const name of model.keys()) {
    if (reserved.some((prefix) => name.startsWith(prefix))) return `the name ${name} is reserved`;
  }
  const schema = new Map(model);
  for (const slot of slots) {
    for (const [name, { shape }] of only(roles, "weight", model)) {
      schema.set(nameInSlot(slot, name), { dtype: "F32", shape });
    }
  }
  for (const [name, { shape }] of published) {
    schema.set(nameInSlot(PUBLISHED, name), { dtype: "I64", shape: [shape.length] });
  }
  return schema;
}

/** @param {Schema} expected @param {Schema} found @returns {string | null} the first tensor that differs */
export function difference(expected, found) {
  const names = [...new Set([...expected.keys(), ...found.keys()])];
  return names.find((name) => !sameSpec(expected.get(name), found.get(name))) ?? null;
}
