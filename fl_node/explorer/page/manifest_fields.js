/** Which fields a manifest has, and what each may be (docs/manifest.md). */

import { checksummed } from "./address.js";
import { NotCheckedHere } from "./faults.js";
import { any, bool, choice, digest, either, integer, list, number, oneOf, overRounds, refuse, section, text } from "./fields.js";
import { canonical } from "./json.js";
import { verifyChoices } from "./manifest_choices.js";
import { isObject } from "./tensors.js";
import { utf8 } from "./hex.js";

/** @import { Check } from "./fields.js" */
/** @import { Json } from "./json.js" */

const MOST_MEMBERS = 96;
const MOST_VALUES = 2000;
const MOST_TEXT = 1000;
const MOST_NAMES = 64;
const MOST_KNOB_BYTES = 16_384;
const MOST_KNOB_DEPTH = 8;

const share = number({ above: "0", most: "1" }, 4);
const rate = number({ above: "0", most: "1" });
const kept = number({ least: "0", below: "1" }, 9);
const width = integer(4, 512);
const batch = integer(2, 4096);
const loss = oneOf("training", "held_out");
const unit = oneOf("steps", "rounds");
const keptOrFresh = oneOf("kept", "fresh");
const window = integer(1, 2 ** 24 - 1);
const fraction = number({ above: "0", most: "1" });
const beta = number({ least: "0", below: "1" });
const adaptive = {
  rate: number({ above: "0", most: "1000" }),
  beta1: beta,
  tau: number({ above: "0", most: "1" }),
};
const amount = integer(1, 2n ** 31n - 1n);
const amounts = either(oneOf(null), amount, list(amount));
const patterns = list(any);

const roles = section({
  at_least_zero: patterns,
  averages: list(section({ half_life: integer(1, 1_000_000), name: any, of: any, unit })),
  statistics: patterns,
});

const WORD = "[A-Za-z_][A-Za-z0-9_]*";
const ENTRY = new RegExp(`^${WORD}(\\.${WORD})*:${WORD}(\\.${WORD})*$`);

/** @type {Record<string, Check>} */
const ofCode = {
  code: digest,
  entry: text(ENTRY, 200),
  falling_loss: loss,
  genesis: digest,
  knobs,
  metrics: list(text(/^[A-Za-z0-9_.-]{1,32}$/), 0, MOST_NAMES),
  requires: list(requirement, 0, MOST_NAMES),
  roles,
};
const recordName = either(oneOf(null), text(/^[ -~]{1,100}$/));

const LEARNERS = {
  gan: {
    batch,
    beta1: kept,
    beta2: overRounds(kept),
    classes: integer(0, 10_000),
    discriminator_rate: overRounds(rate),
    discriminator_width: width,
    ema_half_life: integer(0, 1_000_000),
    ema_unit: unit,
    extractor: section({
      classes: integer(2, 10_000),
      digest: text(/^([0-9a-f]{64})?$/),
      network: oneOf("cnn", "resnet18"),
      width,
    }),
    generator_rate: overRounds(rate),
    generator_width: width,
    latent: integer(1, 1024),
    loss: oneOf("bce", "hinge", "relativistic"),
    network: oneOf("dcgan", "residual"),
    norm: oneOf("batch", "group", "none"),
    optimiser_state: keptOrFresh,
    penalty: overRounds(number({ least: "0", most: "1000" })),
  },
  classifier: {
    batch,
    classes: integer(2, 10_000),
    momentum: kept,
    network: oneOf("cnn", "resnet18"),
    optimiser: oneOf("sgd", "adam"),
    optimiser_state: keptOrFresh,
    rate: overRounds(rate),
    weight_decay: number({ least: "0", most: "1" }),
    width,
  },
  flow: {
    batch,
    beta1: kept,
    beta2: overRounds(kept),
    classes: integer(0, 10_000),
    ema_half_life: integer(0, 1_000_000),
    ema_unit: unit,
    optimiser_state: keptOrFresh,
    rate: overRounds(rate),
    sampling_steps: integer(1, 1000),
    width,
  },
  module: { ...ofCode, batch: integer(1, 65_536), body: list(any, 1), optimiser_state: keptOrFresh },
  flower: {
    ...ofCode,
    losses: section({ held_out: recordName, training: recordName }),
    optimiser_state: oneOf("kept"),
  },
};

const TRAIN = {
  plain: {},
  proximal: { mu: number({ least: "0" }) },
  adaptive_proximal: {
    loss,
    patience: integer(1, 65_535),
    start: number({ least: "0", most: "1" }),
    step: fraction,
  },
  scaffold: { step: fraction },
  ditto: { pull: number({ least: "0" }) },
  two_stream: { weight: number({ least: "0" }) },
};

const STAGES = {
  low_rank: { rank: integer(1, 1024) },
  subsample: { one_in: integer(2, 65_536), scaled: bool },
  top_k: { fraction },
  esgd: { fraction },
  rotate: { block },
  quantise: { bits: oneOf(1n, 2n, 4n, 8n), bucket, spread: oneOf("range", "norm") },
};

const COMBINE = {
  weighted_mean: { weights: oneOf("examples", "equal") },
  momentum: { beta, rate: adaptive.rate },
  adagrad: adaptive,
  adam: { ...adaptive, beta2: beta },
  yogi: { ...adaptive, beta2: beta },
  fednova: { momentum: beta },
  median: {},
  trimmed_mean: { share: number({ above: "0", below: "0.5" }) },
  krum: { byzantine: integer(0, 46), keep: integer(1, MOST_MEMBERS) },
};

const MANIFEST = section({
  data: section({
    channels: oneOf(1n, 3n),
    held_out: number({ above: "0", below: "1" }),
    size: oneOf(32n, 64n),
  }),
  format: oneOf(3n),
  learner: choice(LEARNERS),
  limits: section({
    examples: integer(1, 2n ** 53n - 1n),
    model_bytes: integer(1, 2n ** 40n),
    steps: integer(1, 2n ** 31n - 1n),
    update_norm: number({ above: "0" }),
  }),
  members: list(member, 1, MOST_MEMBERS),
  name: text(/^[^]+$/, 200),
  roles,
  rounds: section({
    attest_window: window,
    cohort_floor: integer(1, MOST_MEMBERS),
    cohort_fraction: share,
    commit_window: window,
    count: integer(1, 65_535),
    min_updates: integer(1, MOST_MEMBERS),
    quorum: number({ least: "0.5", below: "1" }, 4),
    reveal_window: window,
  }),
  seed: integer(0, 2n ** 63n - 1n),
  strategy: section({
    combine: choice(COMBINE),
    encode: section({ feedback: number({ least: "0", most: "1" }), stages: list(choice(STAGES)) }),
    send: choice({ always: {}, relevance: { decay: oneOf("none", "sqrt"), threshold: number({ least: "0", most: "1" }) } }),
    share: section({ average: list(any, 1), opponents: integer(1, MOST_MEMBERS), publish: patterns }),
    train: choice(TRAIN),
    work: section({
      devices: integer(1, 1000),
      edge_rounds: integer(1, 1000),
      epochs: amounts,
      loss,
      steps: amounts,
      until: oneOf("done", "median_loss"),
    }),
  }),
});

/**
 * @param {any} manifest what was parsed; untrusted
 * @throws {import("./faults.js").BadData} "malformed": it is no manifest
 */
export function verifyManifest(manifest) {
  verifyBounds(manifest);
  MANIFEST(manifest, "manifest");
  verifyChoices(manifest);
}

/** @param {Json} manifest */
function verifyBounds(manifest) {
  const pending = [manifest];
  for (let seen = 0; pending.length; ) {
    const value = /** @type {Json} */ (pending.pop());
    if (++seen + pending.length > MOST_VALUES) refuse("manifest", `more than ${MOST_VALUES} keys and values`);
    if (typeof value === "string" && [...value].length > MOST_TEXT) refuse("manifest", "a text that is too long");
    if (Array.isArray(value)) for (const item of value) pending.push(item);
    else if (isObject(value)) for (const key of Object.keys(value)) pending.push(key, value[key]);
  }
}

/** @type {Check} */
function member(value, field) {
  const fits = typeof value === "string" && /^0x[0-9a-fA-F]{40}$/.test(value) && checksummed(value) === value;
  if (!fits) refuse(field, "expected an address with its checksum");
}

/** @type {Check} */
function block(value, field) {
  integer(2, 65_536)(value, field);
  const size = /** @type {bigint} */ (value);
  if (size & (size - 1n)) refuse(field, "expected a power of two");
}

/** @type {Check} */
function bucket(value, field) {
  integer(8, 2 ** 24)(value, field);
  if (/** @type {bigint} */ (value) % 8n) refuse(field, "expected a multiple of 8");
}

/** @type {Check} */
function knobs(value, field) {
  if (!isObject(value)) return refuse(field, "expected a table");
  verifyKnobs(value, field, 1);
  if (utf8(canonical(value)).length > MOST_KNOB_BYTES) refuse(field, "more bytes than allowed");
}

/** @param {Json} value @param {string} field @param {number} depth */
function verifyKnobs(value, field, depth) {
  if (depth > MOST_KNOB_DEPTH) refuse(field, "nested too deep");
  if (value === null) refuse(field, "a null");
  const items = Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
  for (const item of items) verifyKnobs(item, field, depth + 1);
}

const VERSION = "[0-9]+(\\.[0-9]+)*((a|b|rc)[0-9]+)?(\\.post[0-9]+)?(\\.dev[0-9]+)?";
const CLAUSE = `((==|!=)\\s*[0-9]+(\\.[0-9]+)*\\.\\*|(==|!=|<=|>=|<|>)\\s*${VERSION}|~=\\s*[0-9]+\\.${VERSION})`;
const REQUIREMENT = new RegExp(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\\s*(${CLAUSE}(\\s*,\\s*${CLAUSE})*)?$`);

/** @type {Check} */
function requirement(value, field) {
  text(/^[ -~]+$/, 200)(value, field);
  if (!REQUIREMENT.test(String(value))) throw new NotCheckedHere(`a requirement of a form that this page does not read: ${value}`);
}
