/** The audit's step A4: what the members agreed on, before the first round. */

import { modelFrom } from "./aggregate.js";
import { TERMS } from "./events.js";
import { BadData, NotCheckedHere } from "./faults.js";
import { stateObjection } from "./form.js";
import { MAX_MANIFEST, parseManifest } from "./manifest.js";

/** @import { View } from "./audit.js" */
/** @import { Terms } from "./events.js" */
/** @import { Findings } from "./findings.js" */
/** @import { Manifest } from "./manifest.js" */
/** @import { Store } from "./store.js" */

/**
 * @typedef {object} Agreement
 * @property {Manifest} manifest
 * @property {string | null} objection why no round can start from its genesis
 * @property {string | null} unread why this page did not read the genesis, which has its digest
 */

/**
 * Manifest and genesis, if both are the recorded blobs.
 *
 * @param {Findings} findings
 * @param {Store} store
 * @param {View} view
 * @returns {Promise<Agreement | null>}
 */
export async function readAgreement(findings, store, view) {
  let digest = view.manifestDigest;
  /** @type {Manifest | null} */
  let manifest = null;
  try {
    manifest = parseManifest(await store.get(digest, MAX_MANIFEST));
    digest = view.genesisDigest;
    const genesis = modelFrom(digest, await store.get(digest, manifest.limits.modelBytes));
    return { manifest, objection: stateObjection(manifest, genesis.tensors), unread: null };
  } catch (fault) {
    if (fault instanceof NotCheckedHere && manifest) return { manifest, objection: null, unread: fault.message };
    if (fault instanceof NotCheckedHere) findings.leave(["A4", "A5", "A6", "A7"], fault.message);
    else if (fault instanceof BadData) findings.add("A4", fault.message, { digest });
    else throw fault;
  }
  return null;
}

/** @param {Findings} findings @param {Agreement} agreement @param {View} view @param {readonly string[]} members by the log */
export function auditAgreement(findings, { manifest, objection, unread }, view, members) {
  if (TERMS.some(([field]) => termOf(manifest.terms, field) !== termOf(view.terms, field))) {
    findings.add("A4", "the manifest's terms differ from those on chain");
  }
  if (String(manifest.members) !== String(members)) {
    findings.add("A4", "the manifest's members differ from those on chain");
  }
  if (unread) findings.leave(["A4"], unread);
  if (objection) findings.add("A4", `no round can start from the genesis: ${objection}`, { digest: view.genesisDigest });
}

/** @param {Terms} terms @param {string} field @returns {number} */
function termOf(terms, field) {
  return terms[/** @type {keyof Terms} */ (field)];
}
