/** Commitments, and the history head: one hash that stands for a task's whole log. */

import { encode } from "./abi.js";
import { EVENTS, OPENING, TOPICS } from "./events.js";
import { toHex } from "./hex.js";
import { keccak256 } from "./keccak.js";

/** @import { Entry, LedgerEvent, Opening } from "./events.js" */

/**
 * @typedef {object} Site whose history it is
 * @property {bigint} chainId
 * @property {string} contract address in lower case
 * @property {bigint} task
 */

/** @type {readonly (readonly [string, string])[]} */
const SITE = [
  ["chainId", "uint256"],
  ["contract", "address"],
  ["task", "uint256"],
];

/** @param {Site} site @returns {string} the head before the first event */
export function firstHead(site) {
  return toHex(keccak256(encode(SITE, site)));
}

/** @param {string} head before the event @param {LedgerEvent} event @returns {string} the head after it */
export function fold(head, event) {
  const fields = [["head", "bytes32"], ["topic0", "bytes32"], ...EVENTS[event.name]];
  const values = { ...event, head, topic0: TOPICS[event.name] };
  return toHex(keccak256(encode(/** @type {import("./abi.js").Field[]} */ (fields), values)));
}

/** @param {string} head @param {readonly Entry[]} entries that follow it @returns {string[]} the head, and that after each entry */
export function headsFrom(head, entries) {
  const heads = [head];
  for (const { event } of entries) heads.push(fold(heads[heads.length - 1], event));
  return heads;
}

/** @param {Site} site @param {Iterable<LedgerEvent>} events oldest first @returns {string} */
export function headOf(site, events) {
  let head = firstHead(site);
  for (const event of events) head = fold(head, event);
  return head;
}

/**
 * @param {Site} site
 * @param {number} round
 * @param {string} client
 * @param {Opening} opening
 * @returns {string} the commitment that this opens
 */
export function commitmentOf(site, round, client, opening) {
  const values = { ...site, round, client, opening };
  return toHex(keccak256(encode([...SITE, ["round", "uint16"], ["client", "address"], ["opening", OPENING]], values)));
}
