/** A task's log and state from events.json and state.json, as bundles and conformance cases hold them. */

import { BadData } from "./faults.js";
import { readLog } from "./events.js";
import { parseCanonical } from "./json.js";

/** @import { View } from "./audit.js" */
/** @import { Entry, LedgerEvent, Log } from "./events.js" */
/** @import { Site } from "./head.js" */

/**
 * @param {Uint8Array} stateJson untrusted
 * @param {Uint8Array} eventsJson untrusted
 * @returns {{site: Site, view: View, entries: Entry[], events: LedgerEvent[]}}
 * @throws {BadData} "log": the log is none of the task's; "malformed": a file is not what it must be
 */
export function readCase(stateJson, eventsJson) {
  const state = objectFrom(parseCanonical(stateJson));
  const shown = objectFrom(state.view);
  const site = { chainId: BigInt(state.chain_id), contract: String(state.contract).toLowerCase(), task: BigInt(state.task) };
  const terms = Object.fromEntries(
    Object.entries(objectFrom(shown.terms)).map(([field, value]) => [camelCase(field), Number(value)]),
  );
  const view = {
    historyHead: digits(state.head),
    manifestDigest: digits(shown.manifest_digest),
    genesisDigest: digits(shown.genesis_digest),
    parentDigest: digits(shown.parent_digest),
    terms: /** @type {any} */ (terms),
  };
  const logs = parseCanonical(eventsJson);
  if (!Array.isArray(logs)) throw new BadData("malformed", "events.json is no list");
  const entries = readLog(site.contract, site.task, logs.map(logFrom));
  return { site, view, entries, events: entries.map((entry) => entry.event) };
}

/** @param {any} value @returns {Log} */
function logFrom(value) {
  const { address, topics, data, block, log_index: logIndex, timestamp } = objectFrom(value);
  const numbers = [block, logIndex, timestamp].map(Number);
  const texts = [address, data, ...(Array.isArray(topics) ? topics : [null])];
  if (!numbers.every(Number.isSafeInteger) || !texts.every((one) => typeof one === "string")) {
    throw new BadData("malformed", "a log in events.json");
  }
  return { address, topics, data, block: numbers[0], logIndex: numbers[1], timestamp: numbers[2] };
}

/** @param {any} value @returns {Record<string, any>} */
function objectFrom(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BadData("malformed", "expected an object");
  }
  return value;
}

/** @param {any} value @returns {string} 64 hex digits */
function digits(value) {
  if (!/^0x[0-9a-f]{64}$/.test(value)) throw new BadData("malformed", "expected 32 bytes as hex");
  return value.slice(2);
}

/** @param {string} field in snake case @returns {string} */
function camelCase(field) {
  return field.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}
