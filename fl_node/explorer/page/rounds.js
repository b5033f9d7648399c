/** The audit's steps A5 to A7: the updates of each final round, and the model that it made of them. */

import { aggregateRound, modelFrom } from "./aggregate.js";
import { bitmapOf, membersIn } from "./cohort.js";
import { BadData, NotCheckedHere } from "./faults.js";
import { Findings } from "./findings.js";
import { statedOf } from "./measures.js";
import { sameSchema } from "./tensors.js";

/** @import { Aggregated, Model } from "./aggregate.js" */
/** @import { LedgerEvent } from "./events.js" */
/** @import { Step } from "./findings.js" */
/** @import { Manifest } from "./manifest.js" */
/** @import { Stated } from "./measures.js" */
/** @import { RecordedRound } from "./record.js" */
/** @import { Store } from "./store.js" */

/** @typedef {{round: number, parentDigest: string, aggregateDigest: string, updates: AuditedUpdate[]}} AuditedRound */
/**
 * @typedef {object} AuditedUpdate
 * @property {string} client
 * @property {string} digest
 * @property {boolean} included
 * @property {string | null} leftOutBecause
 * @property {Stated | null} stated null if it is not valid, or was not read here
 */

/** @typedef {{findings: Findings, shown: AuditedRound}} Outcome */
/** @typedef {Model | NotCheckedHere | BadData | null} Start what a round starts from, or why it cannot; null: it is no model of this task */

/** @type {readonly Step[]} */
export const ROUND_STEPS = ["A5", "A6", "A7"];
/** No update is longer than so many models, however it is encoded: an index and a value for each element. */
const MODELS_IN_UPDATE = 4n;
const DAMAGED = ["missing", "oversized", "tampered"];

/** A task's final rounds, each looked at until nothing is found or left out in it. */
export class Rounds {
  #store;
  #manifest;
  #genesisDigest;
  /** @type {Outcome[]} */
  #outcomes = [];

  /** @param {Store} store @param {Manifest} manifest @param {string} genesisDigest */
  constructor(store, manifest, genesisDigest) {
    this.#store = store;
    this.#manifest = manifest;
    this.#genesisDigest = genesisDigest;
  }

  /**
   * Verify the rounds that are new, and once more those in which something was found or not reached: what was missing in
   * the store may be there by now.
   *
   * A round starts from the model before it: if the store does not give that and it cannot be computed, no later round can
   * be checked.
   *
   * @param {readonly RecordedRound[]} recorded all of them; those of the last call first
   * @param {(done: number, of: number) => void} progress called before each round that is looked at, and at the end
   * @returns {Promise<readonly Outcome[]>} of every round
   */
  async upTo(recorded, progress) {
    /** @type {Start | undefined} what the round before came to, if it was looked at just now */
    let before;
    for (const [i, round] of recorded.entries()) {
      if (this.#outcomes[i]?.findings.isSettled()) {
        before = undefined;
        continue;
      }
      progress(i, recorded.length);
      const findings = new Findings();
      const parent = before === undefined ? await this.#modelAfter(recorded[i - 1]) : before;
      const [aggregated, next] = await this.#verified(findings, parent, round);
      this.#outcomes[i] = { findings, shown: shownRound(round, this.#manifest.members, aggregated) };
      before = next;
    }
    progress(recorded.length, recorded.length);
    return this.#outcomes;
  }

  /** @returns {boolean} whether looking again would say the same of every round */
  isSettled() {
    return this.#outcomes.every(({ findings }) => findings.isSettled());
  }

  /** @param {RecordedRound | undefined} round none: the genesis @returns {Promise<Start>} */
  async #modelAfter(round) {
    const digest = round?.finalised.aggregateDigest ?? this.#genesisDigest;
    try {
      return modelFrom(digest, await this.#store.get(digest, this.#manifest.limits.modelBytes));
    } catch (fault) {
      if (fault instanceof BadData || fault instanceof NotCheckedHere) return fault;
      throw fault;
    }
  }

  /** @param {Findings} findings @param {Start} parent @param {RecordedRound} round @returns {Promise<[Aggregated | null, Start]>} */
  async #verified(findings, parent, round) {
    if (!parent || parent instanceof BadData) {
      findings.skip(ROUND_STEPS, "the model that it starts from is missing or unfit", round.opened.round);
      return [null, null];
    }
    try {
      if (parent instanceof NotCheckedHere) throw parent;
      return await auditRound(findings, this.#store, this.#manifest, parent, round);
    } catch (fault) {
      if (!(fault instanceof NotCheckedHere)) throw fault;
      const number = round.opened.round;
      findings.leave(ROUND_STEPS, fault.message, number);
      await auditDigests(findings, this.#store, this.#manifest, round);
      const model = await this.#modelAfter(round);
      if (model instanceof BadData) addUnfit(findings, round, model);
      return [null, model];
    }
  }
}

/**
 * @param {Findings} findings
 * @param {Store} store
 * @param {Manifest} manifest
 * @param {Model} parent
 * @param {RecordedRound} round
 * @returns {Promise<[Aggregated, Start]>} what was computed, and the model that the next round starts from
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
 * What is left of A5 where this page cannot compute a round: whether the updates are those that were recorded.
 *
 * @param {Findings} findings
 * @param {Store} store
 * @param {Manifest} manifest
 * @param {RecordedRound} round
 */
async function auditDigests(findings, store, manifest, round) {
  const most = MODELS_IN_UPDATE * manifest.limits.modelBytes;
  const counted = membersIn(manifest.members, round.finalised.included);
  for (const { client, reveal } of round.reveals) {
    const fault = counted.includes(client) && (await faultOf(store, reveal.updateDigest, most));
    if (fault) addDamage(findings, round, client, reveal.updateDigest, fault);
  }
}

/** @param {Store} store @param {string} digest @param {bigint} most bytes @returns {Promise<BadData | null>} why the store's blob is not the recorded one */
async function faultOf(store, digest, most) {
  try {
    await store.get(digest, most);
    return null;
  } catch (fault) {
    if (fault instanceof NotCheckedHere) return null;
    if (fault instanceof BadData) return fault;
    throw fault;
  }
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
    addDamage(findings, round, client, reveal.updateDigest, fault);
  }
  return damaged;
}

/** @param {Findings} findings @param {RecordedRound} round @param {string} client @param {string} digest @param {BadData} fault of its update */
function addDamage(findings, round, client, digest, fault) {
  findings.add("A5", fault.message, {
    round: round.opened.round,
    client,
    digest,
    expected: "the update that the round included",
    actual: fault.rule === "missing" ? "missing" : "tampered",
  });
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
  const agrees = aggregated.digest === digest;
  try {
    model = modelFrom(digest, await store.get(digest, manifest.limits.modelBytes));
  } catch (fault) {
    if (!(fault instanceof BadData)) throw fault;
    addUnfit(findings, round, fault);
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

/** @param {Findings} findings @param {RecordedRound} round @param {BadData} fault of its model */
function addUnfit(findings, { opened, finalised }, fault) {
  findings.add("A7", `the stored aggregate: ${fault.message}`, { round: opened.round, digest: finalised.aggregateDigest });
}

/** @param {RecordedRound} round @param {readonly string[]} members @param {Aggregated | null} aggregated @returns {AuditedRound} */
export function shownRound({ opened, finalised, reveals }, members, aggregated) {
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
