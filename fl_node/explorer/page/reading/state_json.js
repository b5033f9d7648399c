/** state.json: whose history it is, and what the contract's view shows of the task (docs/protocol.md, "Bundle"). */

import { parseCanonical } from "../json.js";
import { TASK_STATE, verifyState } from "../task_state.js";
import { address, fields, refuse, whole, word } from "./spelling.js";

/** @import { Field } from "../abi.js" */
/** @import { Site } from "../head.js" */
/** @import { Json } from "../json.js" */
/** @import { TaskState } from "../task_state.js" */

export const MOST_STATE = 2 ** 14;

const VIEW = TASK_STATE.filter(([name]) => name !== "historyHead");

/**
 * @param {Uint8Array} content untrusted
 * @returns {{site: Site, state: TaskState}}
 * @throws {BadData} "malformed": it is not the one spelling of a state that a task can be in
 */
export function readState(content) {
  if (content.length > MOST_STATE) refuse(`state.json: more than ${MOST_STATE} bytes`);
  const given = fields(parseCanonical(content), ["chain_id", "contract", "head", "task", "view"], "state.json");
  const site = {
    chainId: whole(given.chain_id, 1n << 63n, "chain_id"),
    contract: address(given.contract, "contract"),
    task: whole(given.task, 1n << 256n, "task"),
  };
  const state = { ...structOf(VIEW, given.view, "view"), historyHead: word(given.head, "head").slice(2) };
  verifyState(state);
  return { site, state };
}

/** @param {readonly Field[]} kinds @param {Json} value @param {string} what @returns {TaskState} */
function structOf(kinds, value, what) {
  const given = fields(value, kinds.map(([name]) => snakeCase(name)), what);
  return Object.fromEntries(kinds.map(([name, kind]) => [name, valueOf(kind, given[snakeCase(name)], snakeCase(name))]));
}

/** @param {Field[1]} kind @param {Json} value @param {string} what @returns {unknown} as abi.js decodes it */
function valueOf(kind, value, what) {
  if (typeof kind !== "string") return structOf(kind, value, what);
  if (kind === "address") return address(value, what);
  if (kind === "bytes32") return word(value, what).slice(2);
  const bits = Number(kind.replace("uint", ""));
  const number = whole(value, 1n << BigInt(bits), what);
  return bits <= 32 ? Number(number) : number;
}

/** @param {string} name in camel case @returns {string} */
function snakeCase(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
