/** Bytes as hex digits and as numbers, and back. */

import { BadData } from "./faults.js";

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** What each character code stands for as a hex digit. */
const VALUES = new Uint8Array(128);
for (const [value, digit] of [..."0123456789abcdef"].entries()) {
  for (const code of [digit, digit.toUpperCase()]) VALUES[code.charCodeAt(0)] = value;
}

/** @param {Uint8Array} bytes @returns {string} lower-case digits without 0x */
export function toHex(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += DIGITS[bytes[i]];
  return text;
}

/** @param {string} text hex digits, with or without 0x @returns {Uint8Array} */
export function fromHex(text) {
  if (text.length % 2 || !/^(?:0x)?[0-9a-fA-F]*$/.test(text)) {
    throw new BadData("malformed", `expected hex digits, got ${text.slice(0, 80)}`);
  }
  const begin = text.startsWith("0x") ? 2 : 0;
  const bytes = new Uint8Array((text.length - begin) / 2);
  for (let i = 0, at = begin; i < bytes.length; i++, at += 2) {
    bytes[i] = (VALUES[text.charCodeAt(at)] << 4) | VALUES[text.charCodeAt(at + 1)];
  }
  return bytes;
}

/** @param {...Uint8Array} parts @returns {Uint8Array} */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Uint8Array} left @param {Uint8Array} right @returns {boolean} */
export function same(left, right) {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  return true;
}

/** @param {Uint8Array} bytes @returns {bigint} the number that they are, highest byte first */
export function toNumber(bytes) {
  return bytes.length ? BigInt(`0x${toHex(bytes)}`) : 0n;
}

/** @param {Uint8Array} bytes @returns {bigint} the number that they are, lowest byte first */
export function toNumberLowestFirst(bytes) {
  return toNumber(bytes.slice().reverse());
}

/**
 * @param {bigint} number at least 0, and below 256 to the power of `size`
 * @param {number} size
 * @returns {Uint8Array} its bytes, highest first
 */
export function fromNumber(number, size) {
  return fromHex(number.toString(16).padStart(2 * size, "0"));
}

const encoder = new TextEncoder();

/** @param {string} text @returns {Uint8Array} */
export function utf8(text) {
  return encoder.encode(text);
}
