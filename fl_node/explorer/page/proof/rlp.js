/** RLP, in which Ethereum writes headers and tries. Each value has one spelling, and no other is read. Source: the Ethereum
 * yellow paper, appendix B. */

import { BadData } from "../faults.js";
import { toNumber } from "../hex.js";

/** @typedef {Uint8Array | Items} Item */
/** @typedef {Item[]} Items */

/** @typedef {{isList: boolean, from: number, to: number}} Span where the bytes of an item are, behind what says how many */

const [TEXT, LIST] = [0x80, 0xc0];

/** Lengths from here on are written as a number. */
const LONG = 56;

/** @param {Uint8Array} bytes untrusted, and so few that lists in lists do not overrun the stack @returns {Item} @throws {BadData} "proof" */
export function decodeRlp(bytes) {
  return itemOf(bytes, wholeOf(bytes));
}

/** @param {Uint8Array} bytes untrusted @returns {Uint8Array[]} the items of a list of bytes @throws {BadData} "proof" */
export function decodeList(bytes) {
  const whole = wholeOf(bytes);
  const spans = whole.isList ? spansIn(bytes, whole) : [whole];
  if (!whole.isList || spans.some(({ isList }) => isList)) refuse("not a list of bytes");
  return spans.map(({ from, to }) => bytes.subarray(from, to));
}

/** @param {string} why @returns {never} */
function refuse(why) {
  throw new BadData("proof", why);
}

/** @param {Uint8Array} bytes @param {Span} span @returns {Item} */
function itemOf(bytes, span) {
  return span.isList ? spansIn(bytes, span).map((one) => itemOf(bytes, one)) : bytes.subarray(span.from, span.to);
}

/** @param {Uint8Array} bytes @returns {Span} */
function wholeOf(bytes) {
  const whole = spanAt(bytes, 0, bytes.length);
  return whole.to === bytes.length ? whole : refuse("more behind its end");
}

/** @param {Uint8Array} bytes @param {Span} list @returns {Span[]} */
function spansIn(bytes, { from, to }) {
  /** @type {Span[]} */
  const spans = [];
  for (let at = from; at < to; at = spans[spans.length - 1].to) spans.push(spanAt(bytes, at, to));
  return spans;
}

/** @param {Uint8Array} bytes @param {number} at @param {number} end of what the item lies in @returns {Span} */
function spanAt(bytes, at, end) {
  if (at >= end) refuse("it ends too early");
  const first = bytes[at];
  if (first < TEXT) return { isList: false, from: at, to: at + 1 };
  const isList = first >= LIST;
  const said = first - (isList ? LIST : TEXT);
  const digits = Math.max(said - LONG + 1, 0);
  const from = at + 1 + digits;
  const length = digits ? longLength(bytes.subarray(at + 1, Math.min(from, end))) : said;
  if (from + length > end) refuse("it ends too early");
  if (!isList && length === 1 && bytes[from] < TEXT) refuse("a byte with a length");
  return { isList, from, to: from + length };
}

/** @param {Uint8Array} digits @returns {number} not exact above 2^53, which nothing here is as long as */
function longLength(digits) {
  const length = Number(toNumber(digits));
  if (digits[0] === 0 || length < LONG) refuse("a length that is not spelt as short as it can be");
  return length;
}
