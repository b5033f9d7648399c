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
 * A log, followed by the rules. The event tells which call was made: `UpdateCommitted` comes from `commit`, and so on. What
 * no member's call emits first comes from `advance`.
 */
export class Replay {
  #site;
  /** @type {Task | null} */
  #task = null;
  /** @type {LedgerEvent[]} what the last call emits after what the log has shown of it */
  #expected = [];
  /** @type {Divergence | null} */
  #first = null;

  /** @param {Site} site */
  constructor(site) {
    this.#site = site;
  }

  /** Follow the log by one entry. After the first divergence there is nothing left to follow. @param {Entry} recorded */
  add(recorded) {
    if (this.#first) return;
    try {
      if (!this.#expected.length) {
        this.#task = repeat(this.#site, this.#task, recorded);
        this.#expected = this.#task.recorded.splice(0);
      }
    } catch (refusal) {
      if (!(refusal instanceof CallRefused)) throw refusal;
      this.#first = { recorded, expected: `no such call: the contract refuses it with ${refusal.message}` };
      return;
    }
    const next = written(/** @type {LedgerEvent} */ (this.#expected.shift()));
    if (written(recorded.event) !== next) this.#first = { recorded, expected: next };
  }

  /** @returns {Divergence | null} the first one so far, if the log ends here */
  divergence() {
    const [missing] = this.#expected;
    return this.#first ?? (missing ? { recorded: null, expected: written(missing) } : null);
  }
}

/** @param {Site} site @param {Iterable<Entry>} entries oldest first @returns {Divergence | null} */
export function replay(site, entries) {
  const followed = new Replay(site);
  for (const entry of entries) followed.add(entry);
  return followed.divergence();
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

/** @param {LedgerEvent | Entry} event @returns {string} as text: equal ones give equal texts */
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
