/** What an update states about itself, in its one metadata value. */

import { checksummed } from "./address.js";
import { BadData } from "./faults.js";
import { canonical, parseCanonical } from "./json.js";
import { isObject } from "./tensors.js";
import { utf8 } from "./hex.js";

/** @import { Json } from "./json.js" */

/**
 * @typedef {object} UpdateHeader
 * @property {bigint} task
 * @property {bigint} round
 * @property {string} client with its checksum, as it is written; any case in one that was read
 * @property {string} parent
 * @property {bigint} examples
 * @property {bigint} steps
 * @property {string} codec
 * @property {bigint} seed
 * @property {Readonly<Record<string, string | null>>} metrics by name; empty if the header has none
 * @property {Readonly<Record<string, string>>} versions by distribution; empty if it has none
 */

const FORMAT = 3n;
const METRIC_NAME = /^[A-Za-z0-9_.-]{1,32}$/;
const METRIC = /^-?(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{0,8}[1-9])?$/;
const DISTRIBUTION = /^[a-z0-9-]{1,200}$/;
const VERSION = /^[\x20-\x7e]{1,64}$/;
export const LONGEST_METRIC = "-999999999.999999999";
export const LONGEST_VERSION = "\\".repeat(64);

/** @param {UpdateHeader} header @returns {string} canonical JSON */
export function writtenHeader(header) {
  const { task, round, client, parent, examples, steps, codec, seed, metrics, versions } = header;
  /** @type {{[key: string]: Json}} */
  const note = { format: FORMAT, task, round, client, parent, codec, examples, seed, steps };
  if (Object.keys(metrics).length) note.metrics = { ...metrics };
  if (Object.keys(versions).length) note.versions = { ...versions };
  return canonical(note);
}

/**
 * @param {string} note untrusted
 * @returns {UpdateHeader}
 * @throws {BadData} "malformed"
 */
export function parseHeader(note) {
  const values = parseCanonical(utf8(note));
  if (!isObject(values)) return malformed("no object");
  const header = /** @type {UpdateHeader} */ ({
    task: count(values.task),
    round: count(values.round),
    client: spelt(values.client, /^0x[0-9a-fA-F]{40}$/),
    parent: spelt(values.parent, /^[0-9a-f]{64}$/),
    examples: count(values.examples),
    steps: count(values.steps),
    codec: spelt(values.codec, /^[^]*$/),
    seed: count(values.seed),
    metrics: table(values.metrics, METRIC_NAME, (value) => value === null || isMetric(value)),
    versions: table(values.versions, DISTRIBUTION, (value) => typeof value === "string" && VERSION.test(value)),
  });
  // The whole text again: so the format is the right one, and no other key is there.
  if (writtenHeader(header) !== note) malformed("another format, or other keys");
  return header;
}

/**
 * The header that a reader expects, with the longest of what only its client knows.
 *
 * @param {{task: bigint, round: number, client: string, examples: bigint}} revealed
 * @param {string} parent
 * @param {{steps: bigint, codec: string, seed: bigint, metrics: readonly string[], requires: readonly string[]}} given
 * @returns {UpdateHeader}
 */
export function expectedHeader(revealed, parent, given) {
  return {
    task: revealed.task,
    round: BigInt(revealed.round),
    client: checksummed(revealed.client),
    parent,
    examples: revealed.examples,
    steps: given.steps,
    codec: given.codec,
    seed: given.seed,
    metrics: Object.fromEntries(given.metrics.map((name) => [name, LONGEST_METRIC])),
    versions: Object.fromEntries(given.requires.map((name) => [name, LONGEST_VERSION])),
  };
}

/** @param {Json} value @returns {boolean} */
function isMetric(value) {
  return typeof value === "string" && value !== "-0" && METRIC.test(value);
}

/** @param {Json | undefined} value @returns {bigint} */
function count(value) {
  return typeof value === "bigint" && value >= 0n ? value : malformed("a count");
}

/** @param {Json | undefined} value @param {RegExp} pattern @returns {string} */
function spelt(value, pattern) {
  return typeof value === "string" && pattern.test(value) ? value : malformed("a text");
}

/** @param {Json | undefined} value @param {RegExp} names @param {(value: Json) => boolean} fits @returns {object} */
function table(value, names, fits) {
  if (value === undefined) return {};
  if (!isObject(value) || !Object.keys(value).every((name) => names.test(name) && fits(value[name]))) {
    return malformed("metrics or versions");
  }
  return value;
}

/** @param {string} what @returns {never} */
function malformed(what) {
  throw new BadData("malformed", `malformed metadata of an update: ${what}`);
}
