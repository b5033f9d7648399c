/**
 * Solidity's ABI, as far as the contract's events and hashes use it: words, structs of words, and lists of addresses.
 *
 * Values: addresses and bytes32 are hex in lower case (0x and 40 digits; 64 digits), integers of at most 32 bits are
 * numbers, larger ones are BigInts. A struct is an object.
 */

import { BadData } from "./faults.js";
import { concat, fromHex, fromNumber, toHex, toNumber } from "./hex.js";

/** @typedef {string | Field[]} Kind a type by its name, or a struct's fields */
/** @typedef {readonly [string, string | readonly (readonly [string, string])[]]} Field name and type */

const WORD = 32;

/**
 * @param {readonly Field[]} fields in order
 * @param {Readonly<Record<string, any>>} values by the fields' names
 * @returns {Uint8Array} as abi.encode gives them
 */
export function encode(fields, values) {
  const size = WORD * fields.reduce((sum, field) => sum + wordsOf(field), 0);
  /** @type {Uint8Array[]} */
  const heads = [];
  /** @type {Uint8Array[]} */
  const tails = [];
  let end = size;
  for (const [name, kind] of fields) {
    const value = values[name];
    if (typeof kind !== "string") {
      heads.push(encode(kind, value));
    } else if (kind === "address[]") {
      const items = value.map((/** @type {string} */ item) => wordOf("address", item));
      const tail = concat(fromNumber(BigInt(items.length), WORD), ...items);
      heads.push(fromNumber(BigInt(end), WORD));
      tails.push(tail);
      end += tail.length;
    } else {
      heads.push(wordOf(kind, value));
    }
  }
  return concat(...heads, ...tails);
}

/**
 * @param {readonly Field[]} fields in order
 * @param {Uint8Array} data untrusted
 * @returns {Record<string, any>} the values by the fields' names
 */
export function decode(fields, data) {
  /** @type {Record<string, any>} */
  const values = {};
  let at = 0;
  for (const field of fields) {
    const [name, kind] = field;
    if (typeof kind !== "string") {
      values[name] = decode(kind, data.subarray(at));
    } else if (kind === "address[]") {
      values[name] = addressesAt(data, Number(toNumber(wordAt(data, at))));
    } else {
      values[name] = valueOf(kind, wordAt(data, at));
    }
    at += WORD * wordsOf(field);
  }
  return values;
}

/** @param {Field} field @returns {number} how many words it has in the head */
function wordsOf([, kind]) {
  return typeof kind === "string" ? 1 : kind.length;
}

/** @param {Uint8Array} data @param {number} at @returns {Uint8Array} */
function wordAt(data, at) {
  if (at + WORD > data.length) throw new BadData("log", `expected a word at ${at} of ${data.length} bytes`);
  return data.subarray(at, at + WORD);
}

/** @param {Uint8Array} data @param {number} at @returns {string[]} */
function addressesAt(data, at) {
  const count = Number(toNumber(wordAt(data, at)));
  if (at + WORD * (count + 1) > data.length) throw new BadData("log", `a list of ${count} does not fit`);
  return Array.from({ length: count }, (_, i) => valueOf("address", wordAt(data, at + WORD * (i + 1))));
}

/** @param {string} kind @returns {{signed: boolean, bits: number}} */
function integer(kind) {
  const bits = /^u?int(\d+)$/.exec(kind);
  if (!bits) throw new TypeError(`not a type of a word: ${kind}`);
  return { signed: kind.startsWith("int"), bits: Number(bits[1]) };
}

/** @param {string} kind @param {string | number | bigint} value @returns {Uint8Array} 32 bytes */
function wordOf(kind, value) {
  if (kind === "bytes32") return fromHex(String(value));
  if (kind === "address") return concat(new Uint8Array(12), fromHex(String(value)));
  return fromNumber(BigInt.asUintN(256, BigInt(value)), WORD);
}

/** @param {string} kind @param {Uint8Array} word @returns {any} */
function valueOf(kind, word) {
  if (kind === "bytes32") return toHex(word);
  const number = toNumber(word);
  if (kind === "address") {
    if (number >> 160n) throw new BadData("log", "a word that is no address");
    return `0x${toHex(word.subarray(12))}`;
  }
  const { signed, bits } = integer(kind);
  const value = signed ? BigInt.asIntN(256, number) : number;
  if (value !== (signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value))) {
    throw new BadData("log", `a number too large for ${kind}`);
  }
  return bits <= 32 ? Number(value) : value;
}
