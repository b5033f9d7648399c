/** What a value of a bundle's JSON files may be: everything has one spelling. */

import { checksummed } from "../address.js";
import { BadData } from "../faults.js";

/** @import { Json } from "../json.js" */

/** @param {string} what @returns {never} */
export function refuse(what) {
  throw new BadData("malformed", what);
}

/** @param {Json} value @param {readonly string[]} names @param {string} what @returns {Record<string, Json>} */
export function fields(value, names, what) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(`${what}: expected an object`);
  const found = Object.keys(value);
  if (found.length !== names.length || !names.every((name) => name in value)) {
    return refuse(`${what}: expected an object with ${names.join(", ")}`);
  }
  return value;
}

/** @param {Json} value @param {bigint} below @param {string} what @returns {bigint} in [0, below) */
export function whole(value, below, what) {
  if (typeof value !== "bigint" || value < 0n || value >= below) return refuse(`${what}: expected a number below ${below}`);
  return value;
}

/** @param {Json} value @param {string} what @returns {string} hex behind 0x, in lower case */
export function hex(value, what) {
  if (typeof value !== "string" || !/^0x(?:[0-9a-f]{2})*$/.test(value)) return refuse(`${what}: expected bytes in hex`);
  return value;
}

/** @param {Json} value @param {string} what @returns {string} 64 hex digits behind 0x */
export function word(value, what) {
  const text = hex(value, what);
  return text.length === 66 ? text : refuse(`${what}: expected 32 bytes`);
}

/** @param {Json} value @param {string} what @returns {string} an address in lower case */
export function address(value, what) {
  if (typeof value !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(value) || checksummed(value) !== value) {
    return refuse(`${what}: expected an address with its checksum`);
  }
  return value.toLowerCase();
}
