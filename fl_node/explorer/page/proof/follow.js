/** Proof that a block holds a task's history head: its header, and two paths through tries (docs/protocol.md, "Proof that a
 * block holds the head"; EIP-1186). */

import { BadData, because } from "../faults.js";
import { concat, fromHex, fromNumber, toHex, toNumber } from "../hex.js";
import { keccak256 } from "../keccak.js";
import { decodeList, decodeRlp } from "./rlp.js";
import { valueAt } from "./trie.js";

/**
 * @typedef {object} HeadProof what is said to prove a history head
 * @property {Uint8Array} header the block's, in RLP
 * @property {Uint8Array[]} account the nodes from the root of the state to the contract's account, in RLP
 * @property {Uint8Array[]} storage the nodes from the root of the contract's storage to the head's slot, in RLP
 */

/**
 * @typedef {object} Proven to whoever trusts the block's hash
 * @property {string} block its hash
 * @property {bigint} number of the block
 * @property {bigint} time when it was made, in seconds since 1970, as its maker says
 * @property {string} code keccak256 of the code at the contract's address
 * @property {string} head the task's history head after the block
 */

/** Where the contract keeps its mapping of tasks, and a task its history head. */
const [TASKS_SLOT, HEAD_OFFSET] = [1n, 6n];

/** The longest header, how many fields each has, and where those are that matter (yellow paper, 4.4.3). */
const MOST_HEADER = 2 ** 16;
const FIELDS = 15;
const [STATE_ROOT, NUMBER, TIME] = [3, 8, 11];

const [NUMBERS, TIMES, WORDS] = [2n ** 64n, 253_402_300_800n, 2n ** 256n];

/**
 * @param {HeadProof} proof of anybody
 * @param {string} contract address
 * @param {bigint} task whose head it should lead to
 * @returns {Proven}
 * @throws {BadData} "proof": it does not lead there
 */
export function follow({ header, account, storage }, contract, task) {
  return because("proof", "the proof of the history head does not hold", () => {
    const { number, time, stateRoot } = readHeader(header);
    const { storageRoot, code } = readAccount(valueAt("account", stateRoot, fromHex(contract), account));
    const head = readWord(valueAt("slot", storageRoot, headSlot(task), storage));
    return { block: toHex(keccak256(header)), number, time, code, head };
  });
}

/** @param {string} why @returns {never} */
function refuse(why) {
  throw new BadData("proof", why);
}

/** @param {Uint8Array} header @returns {{number: bigint, time: bigint, stateRoot: Uint8Array}} what it says */
function readHeader(header) {
  if (header.length > MOST_HEADER) refuse(`a header of ${header.length} bytes, at most ${MOST_HEADER}`);
  const fields = because("proof", "not RLP", () => decodeList(header));
  if (fields.length < FIELDS) refuse(`a header of ${fields.length} fields, at least ${FIELDS} are expected`);
  const [number, time] = [below(NUMBERS, fields[NUMBER]), below(TIMES, fields[TIME])];
  const stateRoot = fields[STATE_ROOT];
  if (stateRoot.length !== 32) refuse(`expected 32 bytes, got ${stateRoot.length}`);
  return { number, time, stateRoot };
}

/** @param {bigint} limit @param {Uint8Array} digits @returns {bigint} in [0, limit) */
function below(limit, digits) {
  const number = toNumber(digits);
  return number < limit ? number : refuse(`expected a number from 0 to ${limit - 1n}, got ${number}`);
}

/** @param {Uint8Array} value @returns {{storageRoot: Uint8Array, code: string}} the account's */
function readAccount(value) {
  const [, , storageRoot, code, ...more] = because("proof", "the account's value is not RLP", () => decodeList(value));
  if (storageRoot?.length !== 32 || code?.length !== 32 || more.length) refuse("the account's path leads to no account");
  return { storageRoot, code: toHex(code) };
}

/** @param {bigint} task @returns {Uint8Array} the slot of the contract's storage with its head (Solidity, "Layout in Storage") */
function headSlot(task) {
  const first = keccak256(concat(fromNumber(task, 32), fromNumber(TASKS_SLOT, 32)));
  return fromNumber((toNumber(first) + HEAD_OFFSET) % WORDS, 32);
}

/** @param {Uint8Array} value @returns {string} the word in the slot */
function readWord(value) {
  const word = because("proof", "the slot's value is not RLP", () => decodeRlp(value));
  if (Array.isArray(word)) return refuse("the slot's value is not RLP: a list");
  return word.length > 32 ? refuse("the slot's path leads to no word") : toHex(word).padStart(64, "0");
}
