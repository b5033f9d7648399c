/** Step A3: make every call that a log shows, by the contract's rules, and compare what they emit. */

import { CallRefused } from "./faults.js";
import { Task } from "./rules.js";

/** @import { Entry, LedgerEvent } from "./events.js" */
/** @import { Site } from "./head.js" */

/**
 * @typedef {object} Divergence the first difference between a log and the rules
 * @property {Entry | null} recorded null if the log ends too early
 * @property {string} expected what the rules give there
 */

/**
 * The event tells which call was made: `UpdateCommitted` comes from `commit`, and so on. What no member's call emits
 * first comes from `advance`.
 *
 * @param {Site} site
 * @param {Iterable<Entry>} entries oldest first
 * @returns {Divergence | null}
 */
export function replay(site, entries) {
  /** @type {Task | null} */
  let task = null;
  /** @type {LedgerEvent[]} */
  let expected = [];
  for (const recorded of entries) {
    if (!expected.length) {
      try {
        task = repeat(site, task, recorded);
      } catch (refusal) {
        if (!(refusal instanceof CallRefused)) throw refusal;
        return { recorded, expected: `no such call: the contract refuses it with ${refusal.message}` };
      }
      expected = task.recorded.splice(0);
    }
    const next = /** @type {LedgerEvent} */ (expected.shift());
    if (written(recorded.event) !== written(next)) return { recorded, expected: written(next) };
  }
  return expected.length ? { recorded: null, expected: written(expected[0]) } : null;
}

/** @param {Site} site @param {Task | null} task @param {Entry} recorded @returns {Task} */
function repeat(site, task, { event, timestamp: now }) {
  if (event.name === "TaskOpened") {
    const { coordinator, manifestDigest, genesisDigest, members, terms } = event;
    // A task is opened once: a second opening is another task's.
    const opened = task ? { ...site, task: site.task + 1n } : site;
    return new Task(opened, coordinator, now, manifestDigest, genesisDigest, members, terms);
  }
  if (!task) throw new CallRefused("TaskUnknown", site.task);
  switch (event.name) {
    case "UpdateCommitted":
      task.commit(event.client, now, event.round, event.commitment);
      break;
    case "RoundSkipped":
      task.skip(event.member, now, event.round);
      break;
    case "UpdateRevealed":
      task.reveal(event.client, now, event.round, event.reveal);
      break;
    case "AggregateAttested":
      task.attest(event.client, now, event.round, event.aggregateDigest, event.included);
      break;
    case "MemberRejoined":
      task.rejoin(event.member);
      break;
    default:
      task.advance(now);
  }
  return task;
}

/** @param {LedgerEvent} event @returns {string} the event as text: equal events give equal texts */
export function written(event) {
  return JSON.stringify(inOrder(event));
}

/** @param {unknown} value @returns {unknown} the same with its keys in order, and BigInts as text */
function inOrder(value) {
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(inOrder);
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, inOrder(/** @type {any} */ (value)[key])]));
}
