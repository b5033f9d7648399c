/** A task's log at an endpoint, read as it grows. */

import { Audit } from "./audit.js";
import { readLog } from "./events.js";
import { headsFrom } from "./head.js";
import { written } from "./replay.js";

/** @import { Entry, Log } from "./events.js" */
/** @import { Site } from "./head.js" */
/** @import { Store } from "./store.js" */

/** @typedef {{logs: (first: number, last: number) => Promise<Log[]>}} Source where logs are read */
/** @typedef {{state: {historyHead: string}, block: number}} Look the contract's state after a block */

/**
 * @typedef {object} News
 * @property {number} at how many entries stay as they were
 * @property {Entry[]} entries what follows them
 * @property {string[]} heads after each of `entries`; before them the first head, if nothing stays
 * @property {number | null} changed the first entry that is another one than it was; null if the log has only grown
 */

/** Reads a log, and keeps what its audit has verified. */
export class Following {
  /** @type {Audit} */
  audit;
  #site;
  #store;
  #source;
  #firstBlock;
  #nextBlock;

  /** @param {Site} site @param {Store} store @param {Source} source @param {number} firstBlock of the task's log, or one before it */
  constructor(site, store, source, firstBlock) {
    this.audit = new Audit(site, store);
    this.#site = site;
    this.#store = store;
    this.#source = source;
    this.#firstBlock = this.#nextBlock = firstBlock;
  }

  /**
   * Read on, from the last block that was read. If that does not give the contract's head, an earlier event may be another
   * one by now, so the whole log is read again.
   *
   * @param {Look} look
   * @param {boolean} insist take a log that does not give the head: somebody hides or changes an event
   * @returns {Promise<News | null>} null if the log does not give the head: it may, after another look
   * @throws {import("./faults.js").BadData} "log"
   */
  async readOn({ state, block }, insist) {
    const { entries, heads } = this.audit;
    const { historyHead } = state;
    const last = entries[entries.length - 1];
    const fresh = this.#read(await this.#source.logs(this.#nextBlock, block), last);
    const after = headsFrom(heads[entries.length], fresh);
    if (after[fresh.length] === historyHead) return this.#take(fresh, after, block, null);
    if (!last) return insist ? this.#take(fresh, after, block, null) : null;
    const whole = this.#read(await this.#source.logs(this.#firstBlock, block));
    const all = headsFrom(heads[0], whole);
    if (all[whole.length] !== historyHead && !insist) return null;
    const changed = entries.findIndex((entry, i) => !isSame(entry, whole[i]));
    if (changed < 0) return this.#take(whole.slice(entries.length), all.slice(entries.length), block, null);
    this.audit = new Audit(this.#site, this.#store);
    return this.#take(whole, all, block, changed);
  }

  /** @param {readonly Log[]} logs @param {Entry} [last] the one that they follow @returns {Entry[]} */
  #read(logs, last) {
    return readLog(this.#site.contract, this.#site.task, logs, last);
  }

  /** @param {Entry[]} entries @param {string[]} heads @param {number} block @param {number | null} changed @returns {News} */
  #take(entries, heads, block, changed) {
    const at = this.audit.entries.length;
    this.audit.extend(entries, heads);
    this.#nextBlock = block + 1;
    return { at, entries, heads: at ? heads.slice(1) : heads, changed };
  }
}

/** @param {Entry} one @param {Entry | undefined} other @returns {boolean} whether it is the same event at the same place and time */
function isSame(one, other) {
  return other !== undefined && written(one) === written(other);
}
