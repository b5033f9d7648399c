/** events.json: a task's log as an endpoint gives it (docs/protocol.md, "Bundle"). */

import { because } from "../faults.js";
import { parseCanonical } from "../json.js";
import { address, fields, hex, refuse, whole, word } from "./spelling.js";

/** @import { Log } from "../events.js" */
/** @import { Json } from "../json.js" */

export const MOST_EVENTS = 2 ** 28;

const MOST_LOGS = 1 << 20;
const MOST_TOPICS = 4;
const NAMES = ["address", "block", "block_hash", "data", "log_index", "timestamp", "topics", "transaction"];
const EXACT = 1n << 53n;
const TIMES = 253_402_300_800n;

/**
 * @param {Uint8Array} content untrusted
 * @returns {Log[]} for `readLog` to decode
 * @throws {BadData} "log": it is no list of logs in their one spelling
 */
export function readLogs(content) {
  return because("log", "events.json", () => {
    if (content.length > MOST_EVENTS) refuse(`more than ${MOST_EVENTS} bytes`);
    const listed = parseCanonical(content);
    if (!Array.isArray(listed) || listed.length > MOST_LOGS) return refuse(`expected a list of at most ${MOST_LOGS}`);
    return listed.map(logFrom);
  });
}

/** @param {Json} value @param {number} i @returns {Log} */
function logFrom(value, i) {
  const given = fields(value, NAMES, `entry ${i}`);
  const { topics } = given;
  if (!Array.isArray(topics) || topics.length > MOST_TOPICS) return refuse(`entry ${i}: expected at most ${MOST_TOPICS} topics`);
  for (const name of ["block_hash", "transaction"]) if (given[name] !== null) word(given[name], name);
  return {
    address: address(given.address, "address"),
    topics: topics.map((topic) => word(topic, "topics")),
    data: hex(given.data, "data"),
    block: Number(whole(given.block, EXACT, "block")),
    logIndex: Number(whole(given.log_index, EXACT, "log_index")),
    timestamp: Number(whole(given.timestamp, TIMES, "timestamp")),
  };
}
