/** A task's manifest: what the rounds and the audit need of it. */

import { BadData } from "./faults.js";
import { decimal } from "./exact.js";
import { verifyManifest } from "./manifest_fields.js";
import { parseCanonical } from "./json.js";

/** @import { Terms } from "./events.js" */
/** @import { Ratio } from "./exact.js" */
/** @import { Json } from "./json.js" */
/** @import { Roles } from "./roles.js" */

/** @typedef {{kind: string, [knob: string]: Json}} Choice */
/** @typedef {Choice} Stage one of the codecs */

/**
 * @typedef {object} Manifest
 * @property {bigint} seed
 * @property {string[]} members in lower case, ascending
 * @property {Terms} terms
 * @property {string[]} metrics names
 * @property {string[]} requires canonical names of distributions
 * @property {Roles} roles
 * @property {Stage[]} stages
 * @property {Choice} combine
 * @property {Choice} train
 * @property {string[]} slots of the server's state
 * @property {string[]} sent slots whose changes an update carries
 * @property {{updateNorm: Ratio, examples: bigint, steps: bigint, modelBytes: bigint}} limits
 */

export const MAX_MANIFEST = 1n << 20n;

/** @type {Readonly<Record<string, string[]>>} the slots that a kind of rule, or of training, keeps */
const SLOTS = {
  momentum: ["momentum"],
  adagrad: ["momentum", "second_moment"],
  adam: ["momentum", "second_moment"],
  yogi: ["momentum", "second_moment"],
  scaffold: ["control"],
};

/**
 * @param {Uint8Array} blob untrusted
 * @returns {Manifest}
 * @throws {BadData} "malformed"
 */
export function parseManifest(blob) {
  const values = /** @type {any} */ (parseCanonical(blob));
  verifyManifest(values);
  const { learner, limits, roles, rounds, strategy } = values;
  const sent = SLOTS[strategy.train.kind] ?? [];
  return {
    seed: values.seed,
    members: values.members.map((/** @type {string} */ member) => member.toLowerCase()),
    terms: {
      rounds: Number(rounds.count),
      commitWindow: Number(rounds.commit_window),
      revealWindow: Number(rounds.reveal_window),
      attestWindow: Number(rounds.attest_window),
      cohortFraction: basisPoints(rounds.cohort_fraction),
      cohortFloor: Number(rounds.cohort_floor),
      minUpdates: Number(rounds.min_updates),
      quorum: basisPoints(rounds.quorum),
    },
    metrics: learner.metrics ?? [],
    requires: (learner.requires ?? []).map(distribution),
    roles: {
      statistics: roles.statistics,
      atLeastZero: roles.at_least_zero,
      averages: roles.averages.map((/** @type {any} */ average) => ({
        name: average.name,
        of: average.of,
        halfLife: average.half_life,
        unit: average.unit,
      })),
    },
    stages: strategy.encode.stages,
    combine: strategy.combine,
    train: strategy.train,
    slots: [...(SLOTS[strategy.combine.kind] ?? []), ...sent],
    sent,
    limits: {
      updateNorm: exact(limits.update_norm),
      examples: limits.examples,
      steps: limits.steps,
      modelBytes: limits.model_bytes,
    },
  };
}

/** @param {string} requirement such as `torch>=2.6` @returns {string} the name, in its canonical form */
export function distribution(requirement) {
  const name = /^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)/.exec(requirement)?.[1] ?? "";
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}

/** @param {Json} knob a decimal @returns {Ratio} */
export function exact(knob) {
  const ratio = decimal(knob);
  if (!ratio) throw new BadData("malformed", `not an exact decimal: ${knob}`);
  return ratio;
}

/** @param {Json} fraction @returns {number} */
function basisPoints(fraction) {
  const { over, under } = exact(fraction);
  return Number((over * 10_000n) / under);
}
