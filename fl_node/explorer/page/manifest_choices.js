/** Which choices of a manifest do not go together (docs/manifest.md, "What is refused"). */

import { byAddress } from "./address.js";
import { compare, decimal, nearest, ratioOf } from "./exact.js";
import { refuse } from "./fields.js";
import { canonical } from "./json.js";
import { distribution } from "./manifest.js";

/** @import { Ratio } from "./exact.js" */

/** What the rules need to know of a learner: which loss falls, its momentum, and whether it trains against opponents. */
/** @typedef {{falling: string, momentum: string, opponent: boolean}} Learner */

const ROBUST = ["median", "trimmed_mean", "krum"];
const SPARSE = ["subsample", "top_k", "esgd"];
/** @type {Readonly<Record<string, number>>} */
const ORDER = { low_rank: 0, subsample: 1, top_k: 1, esgd: 1, rotate: 2, quantise: 3 };

/** @param {any} manifest whose fields are what they may be, each by itself */
export function verifyChoices(manifest) {
  const { learner, members, roles, rounds, strategy } = manifest;
  const lower = members.map((/** @type {string} */ one) => one.toLowerCase());
  forbid(lower.some((/** @type {string} */ one, /** @type {number} */ i) => i && byAddress(lower[i - 1], one) >= 0), "members");
  forbid(rounds.cohort_floor > BigInt(members.length), "rounds.cohort_floor");
  forbid(rounds.min_updates > rounds.cohort_floor, "rounds.min_updates");
  forbid(canonical(roles) !== canonical(rolesOf(learner)), "roles");
  verifyLearner(learner, strategy);
  const facts = factsOf(learner);
  const updates = Number(rounds.min_updates);
  verifyShare(strategy, facts);
  verifyWork(strategy, facts, members.length);
  verifyEncode(strategy.encode);
  verifyTrain(strategy, facts);
  verifyCombine(strategy, facts, learner, updates);
  forbid(strategy.send.kind === "relevance" && updates !== 1, "strategy.send");
}

/** @param {boolean} wrong @param {string} field */
function forbid(wrong, field) {
  if (wrong) refuse(field, "does not go with the other choices");
}

/** @param {any} learner @returns {any} */
function rolesOf(learner) {
  const none = { at_least_zero: [], averages: [], statistics: [] };
  const average = (/** @type {string} */ part) => {
    const { ema_half_life: half_life, ema_unit: unit } = learner;
    return half_life ? [{ half_life, name: `${part}_ema`, of: part, unit }] : [];
  };
  if (learner.roles) return learner.roles;
  if (learner.kind === "flow") return { ...none, averages: average("flow") };
  if (learner.kind !== "gan") return none;
  const batch = learner.norm === "batch";
  return {
    at_least_zero: batch ? ["*.running_var"] : [],
    averages: average("generator"),
    statistics: batch ? ["*.running_mean", "*.running_var"] : [],
  };
}

/** @param {any} learner @returns {Learner} */
function factsOf(learner) {
  const momentum = learner.kind === "classifier" && learner.optimiser === "sgd" ? learner.momentum : "0";
  const falling = learner.kind === "gan" ? "held_out" : (learner.falling_loss ?? "training");
  return { falling, momentum, opponent: learner.kind === "gan" };
}

/** @param {any} learner @param {any} strategy */
function verifyLearner(learner, strategy) {
  const { share, train, work } = strategy;
  const alone = work.devices === 1n && work.edge_rounds === 1n;
  forbid(learner.network === "residual" && learner.norm !== "none", "learner.norm");
  forbid(learner.kind === "module" && (train.kind === "two_stream" || !alone), "strategy");
  if (learner.kind === "flower") {
    const once = '{"devices":1,"edge_rounds":1,"epochs":1,"loss":"training","steps":null,"until":"done"}';
    forbid(train.kind !== "plain" || canonical(work) !== once || canonical(share.average) !== '["*"]', "strategy");
  }
  if (!learner.roles) return;
  forbid(new Set(learner.metrics).size < learner.metrics.length, "learner.metrics");
  forbid(new Set(learner.requires.map(distribution)).size < learner.requires.length, "learner.requires");
  learner.roles.averages.forEach((/** @type {any} */ { name, of }, /** @type {number} */ i) => {
    const others = learner.roles.averages.filter((/** @type {any} */ _, /** @type {number} */ k) => k !== i);
    const names = others.map((/** @type {any} */ other) => other.name);
    forbid(!name || liesIn(name, names) || liesIn(of, [name, ...names]), "learner.roles.averages");
  });
}

/** @param {string} part @param {readonly string[]} averages @returns {boolean} */
function liesIn(part, averages) {
  return averages.some((average) => `${part}.`.startsWith(`${average}.`));
}

/** @param {any} strategy @param {Learner} facts */
function verifyShare({ share, work }, { opponent }) {
  if (!share.publish.length) return;
  const alone = work.devices === 1n && work.edge_rounds === 1n;
  forbid(!opponent || share.average.includes("*") || !alone, "strategy.share.publish");
}

/** @param {any} strategy @param {Learner} facts @param {number} members */
function verifyWork({ work }, { falling }, members) {
  forbid((work.steps === null) === (work.epochs === null), "strategy.work");
  forbid(work.until === "median_loss" && work.loss === "training" && falling !== "training", "strategy.work.loss");
  for (const many of [work.steps, work.epochs]) {
    forbid(Array.isArray(many) && many.length !== members, "strategy.work");
  }
}

/** @param {any} encode */
function verifyEncode({ feedback, stages }) {
  const kinds = stages.map((/** @type {any} */ stage) => stage.kind);
  forbid(kinds.some((/** @type {string} */ kind, /** @type {number} */ i) => i && ORDER[kinds[i - 1]] >= ORDER[kind]), "strategy.encode");
  forbid(kinds.includes("low_rank") && kinds.includes("esgd"), "strategy.encode");
  for (const stage of stages) {
    if (stage.kind === "subsample") forbid(stage.scaled === (feedback !== "0"), "strategy.encode");
    if (stage.kind !== "quantise") continue;
    forbid(stage.spread === "norm" && stage.bits === 1n, "strategy.encode");
    const share = nearest(ratio(feedback));
    forbid(!(share * share * bound(stage) < 1), "strategy.encode.feedback");
  }
}

/** @param {any} strategy @param {Learner} facts */
function verifyTrain({ combine, encode, send, share, train }, { falling }) {
  if (train.kind === "adaptive_proximal") forbid(train.loss === "training" && falling !== "training", "strategy.train");
  if (train.kind !== "scaffold") return;
  forbid(compare(ratio(train.step), largestStep(omega(encode.stages))) > 0, "strategy.train.step");
  forbid(canonical(share.average) !== '["*"]', "strategy.share");
  forbid(ROBUST.includes(combine.kind) || send.kind !== "always", "strategy.train");
}

/** @param {any} strategy @param {Learner} facts @param {any} learner @param {number} updates that a round needs */
function verifyCombine({ combine, encode }, { momentum }, learner, updates) {
  const field = "strategy.combine";
  const sparse = encode.stages.some((/** @type {any} */ stage) => SPARSE.includes(stage.kind));
  forbid(ROBUST.includes(combine.kind) && sparse, field);
  if (combine.kind === "fednova") {
    forbid(combine.momentum !== momentum, field);
    forbid(combine.momentum !== "0" && learner.optimiser_state === "kept", field);
  } else if (combine.kind === "median") {
    forbid(updates < 3, field);
  } else if (combine.kind === "trimmed_mean") {
    const { over, under } = ratio(combine.share);
    forbid(BigInt(updates) * over < under, field);
  } else if (combine.kind === "krum") {
    const [byzantine, keep] = [Number(combine.byzantine), Number(combine.keep)];
    forbid(updates < 2 * byzantine + 3 || keep > updates - byzantine, field);
  }
}

/** @param {any} stage quantise @returns {number} of its squared error, as a multiple of the squared norm */
function bound({ bits, bucket, spread }) {
  const size = Number(bucket);
  if (spread === "range") return size / (2 * (2 ** Number(bits) - 1) ** 2);
  const levels = 2 ** (Number(bits) - 1) - 1;
  return Math.min(size / levels ** 2, Math.sqrt(size) / levels);
}

/** @param {readonly any[]} stages @returns {number} the most that the chain's expected squared error can be */
function omega(stages) {
  let growth = 1;
  let rotated = false;
  for (const stage of stages) {
    if (stage.kind === "subsample" && stage.scaled) growth *= Number(stage.one_in);
    if (stage.kind === "quantise") {
      const levels = 2 ** Number(stage.bits) - 1;
      const narrow = (2 * Math.log(Number(stage.bucket)) + 2) / levels ** 2;
      growth *= 1 + (rotated && stage.spread === "range" ? Math.min(bound(stage), narrow) : bound(stage));
    }
    rotated ||= stage.kind === "rotate";
  }
  return growth - 1;
}

/** @param {number} variance @returns {Ratio} 1 / (1 + omega), rounded down to two digits; 1 if omega is below 1 */
function largestStep(variance) {
  if (variance < 1) return { over: 1n, under: 1n };
  const { over, under } = ratioOf(variance);
  const whole = { over: under, under: under + over };
  let places = 1n;
  while (whole.over * 10n ** places < whole.under * 10n) places += 1n;
  return { over: (whole.over * 10n ** places) / whole.under, under: 10n ** places };
}

/** @param {any} knob @returns {Ratio} */
function ratio(knob) {
  return /** @type {Ratio} */ (decimal(knob));
}
