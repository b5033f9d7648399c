/** What an audit collects: what it found, what it did not reach, and what this page cannot check. */

/** @import { Report } from "./audit.js" */

/** @typedef {"A1" | "A2" | "A3" | "A4" | "A5" | "A6" | "A7" | "A8"} Step */
/** @typedef {"clean" | "findings" | "not reached" | "not checked here"} Status */

/**
 * @typedef {object} Finding
 * @property {Step} step
 * @property {string} message
 * @property {number} [round]
 * @property {string} [client]
 * @property {string} [digest]
 * @property {string} [expected]
 * @property {string} [actual]
 */

/** What a log, the contract's state and a store are enough for. @type {readonly Step[]} */
export const STEPS = ["A2", "A3", "A4", "A5", "A6", "A7", "A8"];

/** Collects what was found, and which steps ran. */
export class Findings {
  /** @type {Finding[]} */
  found = [];
  /** @type {Map<Step, string[]>} */
  #skipped = new Map();
  /** @type {Map<Step, string[]>} */
  #unchecked = new Map();

  /** @param {Step} step @param {string} message @param {Partial<Finding>} [where] */
  add(step, message, where = {}) {
    this.found.push({ step, message, ...where });
  }

  /** @param {readonly Step[]} steps @param {string} because @param {number} [round] */
  skip(steps, because, round) {
    for (const step of steps) note(this.#skipped, step, because, round);
  }

  /** Say what this page cannot check. @param {readonly Step[]} steps @param {string} because @param {number} [round] */
  leave(steps, because, round) {
    for (const step of steps) note(this.#unchecked, step, because, round);
  }

  /** Add what another one collected. @param {Findings} other */
  join(other) {
    this.found.push(...other.found);
    for (const [step, reasons] of other.#skipped) this.#skipped.set(step, [...(this.#skipped.get(step) ?? []), ...reasons]);
    for (const [step, reasons] of other.#unchecked) this.#unchecked.set(step, [...(this.#unchecked.get(step) ?? []), ...reasons]);
  }

  /** @returns {boolean} whether looking again would say the same: a blob that is missing now may be there later */
  isSettled() {
    return !this.found.length && !this.#skipped.size;
  }

  /** @returns {Partial<Record<Step, Status>>} */
  steps() {
    const status = (/** @type {Step} */ step) => {
      if (this.found.some((finding) => finding.step === step)) return "findings";
      if (this.#unchecked.has(step)) return "not checked here";
      return this.#skipped.has(step) ? "not reached" : "clean";
    };
    return Object.fromEntries(STEPS.map((step) => [step, status(step)]));
  }

  /** @returns {Record<string, string[]>} */
  reasons() {
    const all = [...this.#skipped, ...this.#unchecked].map(([step]) => step);
    const of = (/** @type {Step} */ step) => [...(this.#skipped.get(step) ?? []), ...(this.#unchecked.get(step) ?? [])];
    return Object.fromEntries(all.map((step) => [step, of(step)]));
  }
}

/** @param {Report} report @param {readonly Finding[]} found elsewhere @returns {Report} with these before all others */
export function withFindings(report, found) {
  const steps = Object.fromEntries(found.map(({ step }) => [step, "findings"]));
  return { ...report, steps: { ...report.steps, ...steps }, findings: [...found, ...report.findings] };
}

/** @param {Map<Step, string[]>} kept @param {Step} step @param {string} because @param {number} [round] */
function note(kept, step, because, round) {
  kept.set(step, [...(kept.get(step) ?? []), round === undefined ? because : `round ${round}: ${because}`]);
}
