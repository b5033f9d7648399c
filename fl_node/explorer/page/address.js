/** Addresses: 0x and 40 lower-case hex digits here; with the checksum of EIP-55 wherever they are hashed or shown. */

import { toHex, utf8 } from "./hex.js";
import { keccak256 } from "./keccak.js";

/** @param {string} address in any case @returns {string} with its checksum */
export function checksummed(address) {
  const digits = address.slice(2).toLowerCase();
  const hash = toHex(keccak256(utf8(digits)));
  const spelt = [...digits].map((digit, i) => (hash[i] >= "8" ? digit.toUpperCase() : digit));
  return `0x${spelt.join("")}`;
}

/** @param {string} left @param {string} right both in lower case @returns {number} for sorting: ascending */
export function byAddress(left, right) {
  return left < right ? -1 : left > right ? 1 : 0;
}
