/** One round more closely, when somebody asks: what it comes to, where that differs from the record, who points where. */

import { aggregateRound, modelFrom } from "./aggregate.js";
import { membersIn } from "./cohort.js";
import { BadData, NotCheckedHere } from "./faults.js";
import { MAX_MANIFEST, parseManifest } from "./manifest.js";
import { Direction } from "./measures.js";
import { StoreAway } from "./reading/blobs.js";
import { finalRounds } from "./record.js";
import { publishedOf } from "./state.js";
import { elementsOf, sameSpec } from "./tensors.js";
import { Verdicts } from "./validity.js";

/** @import { Model } from "./aggregate.js" */
/** @import { Entry } from "./events.js" */
/** @import { Manifest } from "./manifest.js" */
/** @import { RecordedRound } from "./record.js" */
/** @import { Store } from "./store.js" */
/** @import { Spec, Tensor, Tensors } from "./tensors.js" */

/**
 * @typedef {object} Difference the first one between two models
 * @property {string} name of the tensor
 * @property {number | null} index of the element in C order; null if the tensors have not the same form
 * @property {string} recorded value, or form
 * @property {string} recomputed
 */

/**
 * @typedef {object} Again
 * @property {string} digest of the recomputed model; empty if it cannot be computed
 * @property {Difference | null} differs null if the digest is the recorded one, or the recorded model cannot be read
 * @property {string | null} problem
 */

/**
 * Aggregate one round once more, and compare it with what is stored.
 *
 * @param {Store} store
 * @param {readonly Entry[]} entries
 * @param {number} number of a final round
 * @returns {Promise<Again>}
 */
export async function aggregatedAgain(store, entries, number) {
  let digest = "";
  try {
    const { manifest, parent, round } = await startOf(store, entries, number);
    const made = await aggregateRound(store, manifest, parent, round.reveals, round.abandoned);
    digest = made.digest;
    const recorded = round.finalised.aggregateDigest;
    if (digest === recorded) return { digest, differs: null, problem: null };
    const stored = modelFrom(recorded, await store.get(recorded, manifest.limits.modelBytes));
    return { digest, differs: firstDifference(made.tensors, stored.tensors), problem: null };
  } catch (fault) {
    if (isExpected(fault)) return { digest, differs: null, problem: fault.message };
    throw fault;
  }
}

/**
 * @param {Store} store
 * @param {readonly Entry[]} entries
 * @param {number} number of a final round
 * @returns {Promise<Map<string, number | null>>} for each included client the cosine between its update and the mean, weighted
 *   by examples, of all included ones; empty if one of them cannot be read
 */
export async function directions(store, entries, number) {
  try {
    const { manifest, parent, round } = await startOf(store, entries, number);
    const verdicts = new Verdicts(store, manifest, parent.digest, parent.tensors);
    const published = publishedOf(parent.tensors);
    const included = membersIn(manifest.members, round.finalised.included);
    const counted = round.reveals.filter(({ client }) => included.includes(client));
    const moved = async (/** @type {typeof counted[0]} */ revealed) => {
      const { tensors } = await verdicts.readAgain(revealed);
      return new Map([...tensors].filter(([name]) => !published.has(name)));
    };
    const mean = new Direction();
    for (const revealed of counted) mean.add(await moved(revealed), Number(revealed.reveal.numExamples));
    /** @type {Map<string, number | null>} */
    const cosines = new Map();
    for (const revealed of counted) cosines.set(revealed.client, mean.cosine(await moved(revealed)));
    return cosines;
  } catch (fault) {
    if (isExpected(fault)) return new Map();
    throw fault;
  }
}

/** @param {Store} store @param {readonly Entry[]} entries @param {number} number @returns {Promise<{manifest: Manifest, parent: Model, round: RecordedRound}>} */
async function startOf(store, entries, number) {
  const { event } = /** @type {Entry} */ (entries.find((entry) => entry.event.name === "TaskOpened"));
  const manifest = parseManifest(await store.get(event.manifestDigest, MAX_MANIFEST));
  const round = finalRounds(entries)[number - 1];
  const { parentDigest } = round.opened;
  const parent = modelFrom(parentDigest, await store.get(parentDigest, manifest.limits.modelBytes));
  return { manifest, parent, round };
}

/** @param {unknown} fault @returns {fault is BadData | NotCheckedHere | StoreAway} */
function isExpected(fault) {
  return fault instanceof BadData || fault instanceof NotCheckedHere || fault instanceof StoreAway;
}

/** @param {Tensors} made @param {Tensors} stored @returns {Difference | null} in the order of the names */
export function firstDifference(made, stored) {
  for (const name of new Set([...made.keys(), ...stored.keys()])) {
    const [here, there] = [made.get(name), stored.get(name)];
    if (!here || !there || !sameSpec(here, there)) return { name, index: null, recorded: form(there), recomputed: form(here) };
    const size = here.bytes.length / elementsOf(here).length;
    const byte = here.bytes.findIndex((one, i) => one !== there.bytes[i]);
    if (byte < 0) continue;
    const index = Math.floor(byte / size);
    return { name, index, recorded: value(there, index), recomputed: value(here, index) };
  }
  return null;
}

/** @param {Spec | undefined} spec @returns {string} */
function form(spec) {
  return spec ? `${spec.dtype} [${spec.shape.join(", ")}]` : "no such tensor";
}

/** @param {Tensor} tensor @param {number} index @returns {string} */
function value(tensor, index) {
  const one = elementsOf(tensor)[index];
  return Object.is(one, -0) ? "-0" : String(one);
}
