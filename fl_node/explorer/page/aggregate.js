/** One round, from what the chain recorded to the next model. */

import { byAddress } from "./address.js";
import { combining } from "./combine/combine.js";
import { BadData } from "./faults.js";
import { digestOf } from "./sha256.js";
import { decodeTensors, encodeTensors } from "./tensors.js";
import { Verdicts } from "./validity.js";

/** @import { LedgerEvent } from "./events.js" */
/** @import { Manifest } from "./manifest.js" */
/** @import { Store } from "./store.js" */
/** @import { Tensor, Tensors } from "./tensors.js" */
/** @import { Valid } from "./validity.js" */

/** @typedef {{digest: string, tensors: Tensors}} Model */

/**
 * @typedef {object} Aggregated
 * @property {string} digest of the next model
 * @property {Map<string, Tensor>} tensors
 * @property {string[]} included clients, ascending
 * @property {Map<string, BadData>} leftOut by client
 * @property {Map<string, Valid>} valid what those state that keep every rule for themselves, by client
 */

/**
 * @param {Store} store
 * @param {Manifest} manifest
 * @param {Model} parent
 * @param {readonly LedgerEvent[]} reveals in the order of the log
 * @param {readonly LedgerEvent[]} abandoned those of the round's aborted attempts
 * @returns {Promise<Aggregated>}
 */
export async function aggregateRound(store, manifest, parent, reveals, abandoned) {
  const ordered = [...reveals].sort((a, b) => byAddress(a.client, b.client));
  const verdicts = new Verdicts(store, manifest, parent.digest, parent.tensors);
  let combined = combining(manifest, parent.tensors);
  for await (const update of verdicts.judged(ordered)) if (update) combined.add(update);
  // Not combined: judged so that copies of them are found.
  for (const revealed of abandoned) await verdicts.judge(revealed);
  const leftOut = faultsOf(verdicts, reveals, abandoned);
  const included = ordered.filter((revealed) => !leftOut.has(revealed.client));
  if (included.length < validOf(verdicts, ordered).size) {
    // There was a copy: once more, without it.
    combined = combining(manifest, parent.tensors);
    for (const revealed of included) combined.add(await verdicts.readAgain(revealed));
  }
  const tensors = combined.result();
  const digest = await digestOf(encodeTensors(tensors));
  const clients = included.map((one) => one.client);
  return { digest, tensors, included: clients, leftOut, valid: validOf(verdicts, ordered) };
}

/** @param {Verdicts} verdicts @param {readonly LedgerEvent[]} reveals @returns {Map<string, Valid>} by client */
function validOf(verdicts, reveals) {
  /** @type {Map<string, Valid>} */
  const valid = new Map();
  for (const revealed of reveals) {
    const verdict = verdicts.of(revealed);
    if (!(verdict instanceof BadData)) valid.set(revealed.client, verdict);
  }
  return valid;
}

/**
 * @param {Verdicts} verdicts
 * @param {readonly LedgerEvent[]} reveals
 * @param {readonly LedgerEvent[]} abandoned
 * @returns {Map<string, BadData>} by client, in the order of the log
 */
export function faultsOf(verdicts, reveals, abandoned) {
  const repeats = verdicts.repeats([...abandoned, ...reveals]);
  /** @type {Map<string, BadData>} */
  const faults = new Map();
  for (const revealed of reveals) {
    const verdict = verdicts.of(revealed);
    const fault = verdict instanceof BadData ? verdict : repeats.get(revealed);
    if (fault) faults.set(revealed.client, fault);
  }
  return faults;
}

/** @param {string} digest @param {Uint8Array} blob @returns {Model} */
export function modelFrom(digest, blob) {
  const { tensors, note } = decodeTensors(blob);
  if (note !== null) throw new BadData("malformed", "a model blob must not have metadata; this one has some");
  return { digest, tensors };
}
