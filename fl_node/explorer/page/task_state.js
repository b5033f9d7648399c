/** What the contract's view `taskState` shows of a task. */

import { TERMS } from "./events.js";
import { BadData } from "./faults.js";

/** @import { Field } from "./abi.js" */

/** @typedef {Record<string, any>} TaskState its fields by their names; see abi.js for the values */

const MOST_MEMBERS = 96;

/** @type {readonly Field[]} */
export const TASK_STATE = [
  ["coordinator", "address"],
  ["manifestDigest", "bytes32"],
  ["genesisDigest", "bytes32"],
  ["terms", TERMS],
  ["memberCount", "uint8"],
  ["phase", "uint8"],
  ["round", "uint16"],
  ["attempt", "uint16"],
  ["deadline", "uint32"],
  ["cohort", "uint96"],
  ["awaited", "uint96"],
  ["committed", "uint96"],
  ["revealed", "uint96"],
  ["absent", "uint96"],
  ["leadVotes", "uint8"],
  ["parentDigest", "bytes32"],
  ["historyHead", "bytes32"],
];

/**
 * Check what holds for every opened task.
 * @param {TaskState} state untrusted
 * @throws {BadData} "malformed"
 */
export function verifyState(state) {
  const { phase, memberCount, round, terms, cohort, awaited, committed, revealed, absent } = state;
  const members = cohort | awaited | committed | revealed | absent;
  if (phase < 1 || phase > 4) throw new BadData("malformed", `an open task in phase ${phase}`);
  if (memberCount < 1 || memberCount > MOST_MEMBERS || members >= 1n << BigInt(memberCount)) {
    throw new BadData("malformed", `a task of ${memberCount} members, or with bits for more`);
  }
  if (round < 1 || round > terms.rounds) throw new BadData("malformed", `round ${round} of ${terms.rounds}`);
}
