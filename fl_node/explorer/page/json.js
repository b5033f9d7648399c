/** Canonical JSON: one spelling for each value. Integers are BigInts, and there are no other numbers. */

import { BadData } from "./faults.js";
import { same, utf8 } from "./hex.js";

/** @typedef {null | boolean | bigint | string | JsonList | JsonObject} Json */
/** @typedef {Json[]} JsonList */
/** @typedef {{[key: string]: Json}} JsonObject */

export const MAX_DEPTH = 32;
export const MAX_DIGITS = 78;

const WORDS = /** @type {const} */ ({ true: true, false: false, null: null });

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @param {Uint8Array} bytes UTF-8 without a byte order mark @returns {string} */
export function text(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new BadData("malformed", "not UTF-8");
  }
}

/**
 * @param {Uint8Array} bytes untrusted
 * @returns {Json}
 * @throws {BadData} "malformed": it is not the canonical JSON of anything
 */
export function parseCanonical(bytes) {
  const value = parse(text(bytes));
  if (!same(utf8(canonical(value)), bytes)) throw new BadData("malformed", "not in canonical form");
  return value;
}

/** @param {Json} value @returns {string} */
export function canonical(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (value === null || typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const keys = Object.keys(value).sort(byCodePoint);
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

/** @param {string} left @param {string} right @returns {number} for sorting by Unicode code points */
export function byCodePoint(left, right) {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const [a, b] = [left.charCodeAt(i), right.charCodeAt(i)];
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

/** @param {number} unit of UTF-16 @returns {number} halves of surrogate pairs stand for the highest code points */
function rank(unit) {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}

/**
 * Parse JSON, in any spelling, within the bounds of canonical JSON.
 * @param {string} text untrusted
 * @returns {Json}
 */
export function parse(text) {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

/** Reads one value after the other. */
class Reader {
  #at = 0;
  #text;

  /** @param {string} text */
  constructor(text) {
    this.#text = text;
  }

  /** @param {number} depth how many brackets are open @returns {Json} */
  value(depth) {
    if (depth > MAX_DEPTH) this.#refuse(`nested more than ${MAX_DEPTH} deep`);
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === '"') return this.#string();
    if (first === "{") return this.#object(depth + 1);
    if (first === "[") return this.#list(depth + 1);
    for (const [word, value] of Object.entries(WORDS)) if (this.#takes(word)) return value;
    return this.#integer();
  }

  end() {
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#refuse("more than one value");
  }

  /** @param {number} depth @returns {{[key: string]: Json}} */
  #object(depth) {
    /** @type {{[key: string]: Json}} */
    const members = Object.create(null);
    this.#items("{", "}", depth, () => {
      this.#skipSpace();
      const key = this.#string();
      this.#skipSpace();
      if (!this.#takes(":")) this.#refuse("expected a colon");
      if (key in members) this.#refuse("an object has the same key twice");
      members[key] = this.value(depth);
    });
    return members;
  }

  /** @param {number} depth @returns {Json[]} */
  #list(depth) {
    /** @type {Json[]} */
    const items = [];
    this.#items("[", "]", depth, () => items.push(this.value(depth)));
    return items;
  }

  /** @param {string} opening @param {string} closing @param {number} depth @param {() => void} item */
  #items(opening, closing, depth, item) {
    if (depth > MAX_DEPTH) this.#refuse(`nested more than ${MAX_DEPTH} deep`);
    this.#takes(opening);
    this.#skipSpace();
    if (this.#takes(closing)) return;
    do {
      item();
      this.#skipSpace();
    } while (this.#takes(","));
    if (!this.#takes(closing)) this.#refuse(`expected ${closing}`);
  }

  /** @returns {string} */
  #string() {
    const start = this.#at;
    if (!this.#takes('"')) this.#refuse("expected a text");
    while (this.#at < this.#text.length && this.#text[this.#at] !== '"') {
      this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
    }
    this.#at++;
    let value = "";
    try {
      value = JSON.parse(this.#text.slice(start, this.#at));
    } catch {
      this.#refuse("a text that is none");
    }
    if (/\p{Surrogate}/u.test(value)) this.#refuse("half of a surrogate pair");
    return value;
  }

  /** @returns {bigint} */
  #integer() {
    const pattern = /-?(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
    pattern.lastIndex = this.#at;
    const digits = pattern.exec(this.#text)?.[0] ?? "";
    if (!digits) this.#refuse("neither a value nor an integer");
    if (digits.replace("-", "").length > MAX_DIGITS) this.#refuse(`more than ${MAX_DIGITS} digits`);
    this.#at += digits.length;
    return BigInt(digits);
  }

  /** @param {string} word @returns {boolean} whether it stood there, and was passed */
  #takes(word) {
    const there = this.#text.startsWith(word, this.#at);
    if (there) this.#at += word.length;
    return there;
  }

  #skipSpace() {
    while (" \t\n\r".includes(this.#text[this.#at] ?? "x")) this.#at++;
  }

  /** @param {string} why @returns {never} */
  #refuse(why) {
    throw new BadData("malformed", `JSON: ${why}, at ${this.#at}`);
  }
}
