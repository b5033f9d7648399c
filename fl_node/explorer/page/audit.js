/** The audit's steps A2 to A8, over a log, the contract's state and a store. */

import { auditAgreement, readAgreement } from "./agreement.js";
import { Findings } from "./findings.js";
import { firstHead, headsFrom } from "./head.js";
import { finalRounds, membersOf } from "./record.js";
import { Replay, written } from "./replay.js";
import { ROUND_STEPS, Rounds, shownRound } from "./rounds.js";

/** @import { Agreement } from "./agreement.js" */
/** @import { Entry, Terms } from "./events.js" */
/** @import { Finding, Status, Step } from "./findings.js" */
/** @import { Site } from "./head.js" */
/** @import { Divergence } from "./replay.js" */
/** @import { RecordedRound } from "./record.js" */
/** @import { AuditedRound } from "./rounds.js" */
/** @import { Store } from "./store.js" */

/**
 * @typedef {object} View what the contract says of a task
 * @property {string} historyHead
 * @property {string} manifestDigest
 * @property {string} genesisDigest
 * @property {string} parentDigest the current model
 * @property {Terms} terms
 */

/**
 * @typedef {object} Report
 * @property {Partial<Record<Step, Status>>} steps those that were looked at
 * @property {Finding[]} findings
 * @property {Record<string, string[]>} reasons why a step was not reached, or not checked here, in some round or at all
 * @property {AuditedRound[]} rounds
 */

/** @typedef {(done: number, of: number) => void} Progress how many of the final rounds were looked at */

/** The audit of a task whose log grows: what was verified is not verified again. */
export class Audit {
  /** @type {Entry[]} */
  entries = [];
  /** @type {string[]} the head before the first event, and after each */
  heads;
  #store;
  #replay;
  #agreed = "";
  /** @type {Agreement | null} */
  #agreement = null;
  /** @type {Rounds | null} */
  #rounds = null;

  /** @param {Site} site @param {Store} store */
  constructor(site, store) {
    this.heads = [firstHead(site)];
    this.#store = store;
    this.#replay = new Replay(site);
  }

  /** @param {readonly Entry[]} entries the log's next ones @param {readonly string[]} [heads] the last one, and those after each of them */
  extend(entries, heads = headsFrom(this.heads[this.heads.length - 1], entries)) {
    entries.forEach((entry, i) => {
      this.entries.push(entry);
      this.heads.push(heads[i + 1]);
      this.#replay.add(entry);
    });
  }

  /**
   * @param {View} view what the contract says after the last entry
   * @param {Progress} [progress]
   * @returns {Promise<Report>}
   */
  async report(view, progress = () => {}) {
    const findings = new Findings();
    const recorded = finalRounds(this.entries);
    auditHead(findings, this.heads[this.heads.length - 1], view);
    auditRules(findings, this.#replay.divergence());
    await this.#agree(findings, view);
    auditParents(findings, view, recorded);
    const rounds = await this.#roundsOf(findings, recorded, progress);
    return { steps: findings.steps(), findings: findings.found, reasons: findings.reasons(), rounds };
  }

  /** @returns {boolean} whether another report on the same log would say the same: nothing is missing that may turn up */
  isSettled() {
    return this.#agreement !== null && (this.#rounds?.isSettled() ?? true);
  }

  /** A4. @param {Findings} findings @param {View} view */
  async #agree(findings, view) {
    const digests = `${view.manifestDigest} ${view.genesisDigest}`;
    if (!this.#agreement || this.#agreed !== digests) {
      this.#agreement = await readAgreement(findings, this.#store, view);
      this.#agreed = digests;
      const { manifest, objection } = this.#agreement ?? { manifest: null, objection: null };
      this.#rounds = manifest && !objection ? new Rounds(this.#store, manifest, view.genesisDigest) : null;
    }
    if (this.#agreement) auditAgreement(findings, this.#agreement, view, membersOf(this.entries));
  }

  /** @param {Findings} findings @param {readonly RecordedRound[]} recorded @param {Progress} progress @returns {Promise<AuditedRound[]>} */
  async #roundsOf(findings, recorded, progress) {
    if (!this.#rounds) {
      findings.skip(ROUND_STEPS, "A4 found no manifest and genesis to compute with");
      return recorded.map((round) => shownRound(round, [], null));
    }
    if (!recorded.length) findings.skip(ROUND_STEPS, "no round is final yet");
    const outcomes = await this.#rounds.upTo(recorded, progress);
    for (const outcome of outcomes) findings.join(outcome.findings);
    return outcomes.map(({ shown }) => shown);
  }
}

/**
 * @param {Site} site
 * @param {readonly Entry[]} entries the task's log
 * @param {View} view
 * @param {Store} store
 * @returns {Promise<Report>}
 */
export async function audit(site, entries, view, store) {
  const whole = new Audit(site, store);
  whole.extend(entries);
  return whole.report(view);
}

/** A2. @param {Findings} findings @param {string} head that the log gives @param {View} view */
function auditHead(findings, head, view) {
  if (head !== view.historyHead) {
    findings.add("A2", "the event log does not give the contract's history head", {
      expected: view.historyHead,
      actual: head,
    });
  }
}

/** A3. @param {Findings} findings @param {Divergence | null} divergence */
function auditRules(findings, divergence) {
  if (!divergence) return;
  const { recorded, expected } = divergence;
  if (!recorded) return findings.add("A3", "the log ends too early", { expected });
  const { event, block, logIndex } = recorded;
  findings.add("A3", `first divergence at block ${block}, log ${logIndex}`, {
    round: event.round,
    client: event.client ?? event.member,
    expected,
    actual: written(event),
  });
}

/** A8. @param {Findings} findings @param {View} view @param {readonly RecordedRound[]} recorded */
function auditParents(findings, view, recorded) {
  let parent = view.genesisDigest;
  recorded.forEach(({ opened, finalised }, i) => {
    if (opened.round !== i + 1 || opened.parentDigest !== parent) {
      findings.add("A8", "the round does not start from the last final model", { round: opened.round });
    }
    parent = finalised.aggregateDigest;
  });
  if (view.parentDigest !== parent) {
    findings.add("A8", "the contract's current model is not the last final one", {
      expected: parent,
      actual: view.parentDigest,
    });
  }
}
