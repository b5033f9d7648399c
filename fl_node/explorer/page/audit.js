/** The audit's steps A2 to A8, over a log, the contract's state and a store. */

import { aggregateRound } from "./aggregate.js";
import { bitmapOf, membersIn } from "./cohort.js";
import { TERMS } from "./events.js";
import { BadData, NotCheckedHere } from "./faults.js";
import { stateObjection } from "./form.js";
import { headOf } from "./head.js";
import { same } from "./hex.js";
import { MAX_MANIFEST, parseManifest } from "./manifest.js";
import { statedOf } from "./measures.js";
import { finalRounds, membersOf } from "./record.js";
import { replay, written } from "./replay.js";
import { decodeTensors, sameSchema } from "./tensors.js";

/** @import { Aggregated, Model } from "./aggregate.js" */
/** @import { Entry, LedgerEvent, Terms } from "./events.js" */
/** @import { Site } from "./head.js" */
/** @import { Manifest } from "./manifest.js" */
/** @import { Stated } from "./measures.js" */
/** @import { RecordedRound } from "./record.js" */
/** @import { Store } from "./store.js" */

/** @typedef {"A2" | "A3" | "A4" | "A5" | "A6" | "A7" | "A8"} Step */

/**
 * @typedef {object} View what the contract says of a task
 * @property {string} historyHead
 * @property {string} manifestDigest
 * @property {string} genesisDigest
 * @property {string} parentDigest the current model
 * @property {Terms} terms
 */

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

/**
 * @typedef {object} Report
 * @property {Record<Step, "clean" | "findings" | "not reached" | "not checked here">} steps
 * @property {Finding[]} findings
 * @property {Record<string, string[]>} reasons why a step was not reached, or not checked here, in some round or at all
 * @property {AuditedRound[]} rounds
 */

/** @typedef {{round: number, parentDigest: string, aggregateDigest: string, updates: AuditedUpdate[]}} AuditedRound */
/**
 * @typedef {object} AuditedUpdate
 * @property {string} client
 * @property {string} digest
 * @property {boolean} included
 * @property {string | null} leftOutBecause
 * @property {Stated | null} stated null if it is not valid, or was not read here
 */

/** @type {readonly Step[]} */
const STEPS = ["A2", "A3", "A4", "A5", "A6", "A7", "A8"];
const DAMAGED = ["missing", "oversized", "tampered"];

/** Collects what was found, and which steps ran. */
class Findings {
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

  /** @returns {Report["steps"]} */
  steps() {
    const status = (/** @type {Step} */ step) => {
      if (this.found.some((finding) => finding.step === step)) return "findings";
      if (this.#unchecked.has(step)) return "not checked here";
      return this.#skipped.has(step) ? "not reached" : "clean";
    };
    return /** @type {Report["steps"]} */ (Object.fromEntries(STEPS.map((step) => [step, status(step)])));
  }

  /** @returns {Record<string, string[]>} */
  reasons() {
    const all = [...this.#skipped, ...this.#unchecked].map(([step]) => step);
    const of = (/** @type {Step} */ step) => [...(this.#skipped.get(step) ?? []), ...(this.#unchecked.get(step) ?? [])];
    return Object.fromEntries(all.map((step) => [step, of(step)]));
  }
}

/** @param {Map<Step, string[]>} kept @param {Step} step @param {string} because @param {number} [round] */
function note(kept, step, because, round) {
  kept.set(step, [...(kept.get(step) ?? []), round === undefined ? because : `round ${round}: ${because}`]);
}

/**
 * @param {Site} site
 * @param {readonly Entry[]} entries the task's log
 * @param {View} view
 * @param {Store} store
 * @param {(done: number, of: number) => void} [progress] called after each round
 * @returns {Promise<Report>}
 */
export async function audit(site, entries, view, store, progress = () => {}) {
  const findings = new Findings();
  auditHead(findings, site, entries, view);
  auditRules(findings, site, entries);
  const task = await auditAgreement(findings, store, view, membersOf(entries));
  const recorded = finalRounds(entries);
  auditParents(findings, view, recorded);
  const rounds = await auditRounds(findings, store, task, recorded, progress);
  return { steps: findings.steps(), findings: findings.found, reasons: findings.reasons(), rounds };
}

/** A2. @param {Findings} findings @param {Site} site @param {readonly Entry[]} entries @param {View} view */
function auditHead(findings, site, entries, view) {
  const head = headOf(site, entries.map((entry) => entry.event));
  if (head !== view.historyHead) {
    findings.add("A2", "the event log does not give the contract's history head", {
      expected: view.historyHead,
      actual: head,
    });
  }
}

/** A3. @param {Findings} findings @param {Site} site @param {readonly Entry[]} entries */
function auditRules(findings, site, entries) {
  const divergence = replay(site, entries);
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

/**
 * A4: manifest and genesis, if both are the recorded blobs.
 *
 * @param {Findings} findings
 * @param {Store} store
 * @param {View} view
 * @param {readonly string[]} members
 * @returns {Promise<{manifest: Manifest, genesis: Model} | null>}
 */
async function auditAgreement(findings, store, view, members) {
  let digest = view.manifestDigest;
  try {
    const manifest = parseManifest(await store.get(digest, MAX_MANIFEST));
    digest = view.genesisDigest;
    const genesis = modelFrom(digest, await store.get(digest, manifest.limits.modelBytes));
    if (TERMS.some(([field]) => termOf(manifest.terms, field) !== termOf(view.terms, field))) {
      findings.add("A4", "the manifest's terms differ from those on chain");
    }
    if (String(manifest.members) !== String(members)) {
      findings.add("A4", "the manifest's members differ from those on chain");
    }
    const objection = stateObjection(manifest, genesis.tensors);
    if (!objection) return { manifest, genesis };
    findings.add("A4", `no round can start from the genesis: ${objection}`, { digest });
  } catch (fault) {
    if (fault instanceof NotCheckedHere) findings.leave(["A4", "A5", "A6", "A7"], fault.message);
    else if (fault instanceof BadData) findings.add("A4", fault.message, { digest });
    else throw fault;
  }
  return null;
}

/** @param {Terms} terms @param {string} field @returns {number} */
function termOf(terms, field) {
  return terms[/** @type {keyof Terms} */ (field)];
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

/**
 * A5 to A7, round by round. A round starts from the model before it: if that is neither in the store nor can be
 * computed, no later round can be checked.
 *
 * @param {Findings} findings
 * @param {Store} store
 * @param {{manifest: Manifest, genesis: Model} | null} task
 * @param {readonly RecordedRound[]} recorded
 * @param {(done: number, of: number) => void} progress
 * @returns {Promise<AuditedRound[]>}
 */
async function auditRounds(findings, store, task, recorded, progress) {
  /** @type {Step[]} */
  const steps = ["A5", "A6", "A7"];
  if (!task) findings.skip(steps, "A4 found no manifest and genesis to compute with");
  else if (!recorded.length) findings.skip(steps, "no round is final yet");
  let parent = task?.genesis ?? null;
  /** @type {AuditedRound[]} */
  const rounds = [];
  for (const round of recorded) {
    let aggregated = null;
    if (task && parent) {
      try {
        [aggregated, parent] = await auditRound(findings, store, task.manifest, parent, round);
      } catch (fault) {
        if (!(fault instanceof NotCheckedHere)) throw fault;
        findings.leave(steps, fault.message, round.opened.round);
        parent = await storedModel(store, task.manifest, round);
      }
    } else if (task) {
      findings.skip(steps, "the model that it starts from is missing or unfit", round.opened.round);
    }
    rounds.push(shown(round, task?.manifest.members ?? [], aggregated));
    progress(rounds.length, recorded.length);
  }
  return rounds;
}

/**
 * @param {Findings} findings
 * @param {Store} store
 * @param {Manifest} manifest
 * @param {Model} parent
 * @param {RecordedRound} round
 * @returns {Promise<[Aggregated, Model | null]>} what was computed, and the model that the next round starts from
 */
async function auditRound(findings, store, manifest, parent, round) {
  const aggregated = await aggregateRound(store, manifest, parent, round.reveals, round.abandoned);
  const number = round.opened.round;
  const damaged = auditBlobs(findings, manifest, round, aggregated);
  if (damaged) {
    findings.skip(["A6", "A7"], "an included update is missing or tampered with (A5)", number);
  } else {
    const included = bitmapOf(aggregated.included.map((client) => manifest.members.indexOf(client)));
    if (included !== round.finalised.included) {
      findings.add("A6", "the validity rules include other updates than the round did", {
        round: number,
        expected: aggregated.included.join(", ") || "none",
        actual: membersIn(manifest.members, round.finalised.included).join(", ") || "none",
      });
    }
  }
  const model = await auditModel(findings, store, manifest, round, aggregated, damaged);
  if (model && !sameSchema(model.tensors, parent.tensors)) {
    findings.add("A7", "the recorded aggregate has other tensors than the model before it", { round: number });
    return [aggregated, null];
  }
  return [aggregated, model];
}

/**
 * A5.
 * @param {Findings} findings
 * @param {Manifest} manifest
 * @param {RecordedRound} round
 * @param {Aggregated} aggregated
 * @returns {boolean} whether an included update is missing or altered
 */
function auditBlobs(findings, manifest, round, aggregated) {
  const counted = membersIn(manifest.members, round.finalised.included);
  let damaged = false;
  for (const { client, reveal } of round.reveals) {
    const fault = aggregated.leftOut.get(client);
    if (!fault || !DAMAGED.includes(fault.rule) || !counted.includes(client)) continue;
    damaged = true;
    findings.add("A5", fault.message, {
      round: round.opened.round,
      client,
      digest: reveal.updateDigest,
      expected: "the update that the round included",
      actual: fault.rule === "missing" ? "missing" : "tampered",
    });
  }
  return damaged;
}

/**
 * A7: the recorded model, from the store or as it was computed; null if neither gives it.
 *
 * @param {Findings} findings
 * @param {Store} store
 * @param {Manifest} manifest
 * @param {RecordedRound} round
 * @param {Aggregated} aggregated
 * @param {boolean} damaged
 * @returns {Promise<Model | null>}
 */
async function auditModel(findings, store, manifest, round, aggregated, damaged) {
  const digest = round.finalised.aggregateDigest;
  const number = round.opened.round;
  /** @type {Model | null} */
  let model = null;
  let agrees = aggregated.digest === digest;
  try {
    const stored = await store.get(digest, manifest.limits.modelBytes);
    model = modelFrom(digest, stored);
    agrees = same(stored, aggregated.blob);
  } catch (fault) {
    if (!(fault instanceof BadData)) throw fault;
    findings.add("A7", `the stored aggregate: ${fault.message}`, { round: number, digest });
    if (agrees) model = { digest, tensors: aggregated.tensors };
  }
  if (!agrees && !damaged) {
    findings.add("A7", "the recomputed aggregate does not have the recorded digest", {
      round: number,
      expected: aggregated.digest,
      actual: digest,
    });
  }
  return model;
}

/** @param {Store} store @param {Manifest} manifest @param {RecordedRound} round @returns {Promise<Model | null>} */
async function storedModel(store, manifest, round) {
  const digest = round.finalised.aggregateDigest;
  try {
    return modelFrom(digest, await store.get(digest, manifest.limits.modelBytes));
  } catch (fault) {
    if (fault instanceof BadData) return null;
    throw fault;
  }
}

/** @param {string} digest @param {Uint8Array} blob @returns {Model} */
export function modelFrom(digest, blob) {
  const { tensors, note } = decodeTensors(blob);
  if (note !== null) throw new BadData("malformed", "a model blob must not have metadata; this one has some");
  return { digest, tensors };
}

/** @param {RecordedRound} round @param {readonly string[]} members @param {Aggregated | null} aggregated @returns {AuditedRound} */
function shown({ opened, finalised, reveals }, members, aggregated) {
  const included = membersIn(members, finalised.included);
  const update = (/** @type {LedgerEvent} */ { client, reveal }) => ({
    client,
    digest: reveal.updateDigest,
    included: included.includes(client),
    leftOutBecause: aggregated?.leftOut.get(client)?.rule ?? null,
    stated: statedOf(aggregated?.valid.get(client)),
  });
  return {
    round: opened.round,
    parentDigest: opened.parentDigest,
    aggregateDigest: finalised.aggregateDigest,
    updates: reveals.map(update),
  };
}
