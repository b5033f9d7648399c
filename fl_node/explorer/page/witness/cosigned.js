/** What witnesses say about the history: part of step A2 (docs/protocol.md, "Cosigned heads"). */

import { isBy, isGenuine } from "./cosigning.js";

/** @import { Finding } from "../findings.js" */
/** @import { VerifierKey } from "./keys.js" */
/** @import { Checkpoint, Cosignature, Note } from "./note.js" */

/**
 * @typedef {object} Cosigned that a witness has signed a point of this history
 * @property {string} witness
 * @property {bigint} time in seconds since 1970 (UTC), as the witness says
 * @property {number} events how many lead to the point
 * @property {string} head there
 * @property {boolean} checked whether it is so; else nobody gave the witness's key, and the line says nothing
 */

/** @typedef {{origin: string, heads: readonly string[]}} History its notes' first line, and the head before the first event and after each */

/**
 * Check each cosignature whose key is given: it is genuine, and its head is a point of this history.
 *
 * @param {readonly VerifierKey[]} keys of the witnesses that somebody trusts
 * @param {readonly Note[]} notes of anybody; nothing in them is believed
 * @param {History} history
 * @returns {Promise<{cosigned: Cosigned[], findings: Finding[]}>} what holds or could not be checked because nobody gave its key,
 *   and what is wrong
 * @throws {import("../faults.js").NotCheckedHere} this browser cannot check signatures
 */
export async function cosignedIn(keys, notes, history) {
  /** @type {Finding[]} */
  const findings = [];
  /** @type {Cosigned[]} */
  const cosigned = [];
  for (const { checkpoint, cosignature } of all(notes)) {
    const key = keys.find((one) => isBy(cosignature, one));
    const wrong = key && (await faultOf(checkpoint, cosignature, key, history));
    if (wrong) findings.push({ step: "A2", ...wrong });
    else cosigned.push(told(checkpoint, cosignature, key !== undefined));
  }
  if (keys.length && !cosigned.some(({ checked }) => checked)) findings.push({ step: "A2", ...unseen(keys, cosigned) });
  return { cosigned, findings };
}

/** @param {readonly Note[]} notes @returns {{checkpoint: Checkpoint, cosignature: Cosignature}[]} */
function all(notes) {
  return notes.flatMap(({ checkpoint, cosignatures }) => cosignatures.map((cosignature) => ({ checkpoint, cosignature })));
}

/** @param {Checkpoint} checkpoint @param {Cosignature} cosignature @param {boolean} checked @returns {Cosigned} */
function told({ events, head }, { name, time }, checked) {
  return { witness: name, time, events, head, checked };
}

/** @param {readonly VerifierKey[]} keys @param {readonly Cosigned[]} cosigned */
function unseen(keys, cosigned) {
  return {
    message: "none of the given witnesses has cosigned this history",
    expected: keys.map(({ name }) => name).join(" or "),
    actual: cosigned.map(({ witness }) => witness).join(", ") || "nobody",
  };
}

/**
 * @param {Checkpoint} checkpoint
 * @param {Cosignature} cosignature
 * @param {VerifierKey} key
 * @param {History} history
 * @returns {Promise<{message: string, expected?: string, actual?: string} | null>} what is wrong with it; null if nothing is
 */
async function faultOf(checkpoint, cosignature, key, { origin, heads }) {
  const { name } = key;
  const { events, head } = checkpoint;
  if (!(await isGenuine(checkpoint, cosignature, key))) {
    return { message: `a cosignature in the name of ${name} is not made with its key` };
  }
  if (checkpoint.origin !== origin) {
    return { message: `${name} has cosigned the history of something else`, expected: origin, actual: checkpoint.origin };
  }
  if (heads[events] !== head) {
    const actual = heads[events] ?? `a log of ${heads.length - 1} events`;
    return { message: `${name} has cosigned another history`, expected: `${head} after ${events} events`, actual };
  }
  return null;
}
