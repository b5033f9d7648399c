/** Bitmaps of members, and how a cohort is drawn. */

import { encode } from "./abi.js";
import { toHex, toNumber } from "./hex.js";
import { keccak256 } from "./keccak.js";

/** @param {bigint} bitmap @returns {number[]} the positions of its set bits, lowest first */
export function indices(bitmap) {
  const found = [];
  for (let i = 0; bitmap >> BigInt(i); i++) if ((bitmap >> BigInt(i)) & 1n) found.push(i);
  return found;
}

/** @param {Iterable<number>} positions @returns {bigint} */
export function bitmapOf(positions) {
  let bitmap = 0n;
  for (const position of positions) bitmap |= 1n << BigInt(position);
  return bitmap;
}

/** @param {bigint} bitmap @returns {number} how many bits are set */
export function count(bitmap) {
  return indices(bitmap).length;
}

/**
 * @template T
 * @param {readonly T[]} members
 * @param {bigint} bitmap bits beyond the members are ignored
 * @returns {T[]} those whose bit is set
 */
export function membersIn(members, bitmap) {
  return members.filter((_, i) => (bitmap >> BigInt(i)) & 1n);
}

/**
 * @param {string} parentDigest of the model that the round starts from
 * @param {bigint} task
 * @param {number} round
 * @param {number} attempt
 * @returns {string} the seed that the attempt's cohort is drawn by
 */
export function cohortSeed(parentDigest, task, round, attempt) {
  const values = { parentDigest, task, round, attempt };
  return toHex(
    keccak256(
      encode([["parentDigest", "bytes32"], ["task", "uint256"], ["round", "uint16"], ["attempt", "uint16"]], values),
    ),
  );
}

/**
 * @param {string} seed
 * @param {bigint} present bitmap of those who can be drawn
 * @param {number} size at most as many as are present
 * @returns {bigint} bitmap of those who are drawn
 */
export function draw(seed, present, size) {
  const order = indices(present);
  for (let i = 0; i < size; i++) {
    const random = toNumber(keccak256(encode([["seed", "bytes32"], ["step", "uint256"]], { seed, step: i })));
    const j = i + Number(random % BigInt(order.length - i));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return bitmapOf(order.slice(0, size));
}
