/** Checks who signed a checkpoint (C2SP, tlog-cosignature, "Ed25519 signed message"; RFC 8032). */

import { NotCheckedHere } from "../faults.js";
import { utf8 } from "../hex.js";
import { writtenCheckpoint } from "./note.js";

/** @import { VerifierKey } from "./keys.js" */
/** @import { Checkpoint, Cosignature } from "./note.js" */

/** @param {Cosignature} cosignature @param {VerifierKey} key @returns {boolean} whether it claims to be made with this key */
export function isBy(cosignature, key) {
  return cosignature.name === key.name && cosignature.id === key.id;
}

/**
 * @param {Checkpoint} checkpoint
 * @param {Cosignature} cosignature
 * @param {VerifierKey} key
 * @returns {Promise<boolean>} whether this key signed this checkpoint at the cosignature's time
 * @throws {NotCheckedHere} the browser cannot tell
 */
export async function isGenuine(checkpoint, { time, signature }, key) {
  const publicKey = await imported(key);
  const message = utf8(`cosignature/v1\ntime ${time}\n${writtenCheckpoint(checkpoint)}`);
  return publicKey !== null && crypto.subtle.verify("Ed25519", publicKey, signature.slice(), message.slice());
}

/** @param {VerifierKey} key @returns {Promise<CryptoKey | null>} null if it is no point of the curve */
async function imported({ publicKey }) {
  if (!globalThis.crypto?.subtle) {
    throw new NotCheckedHere("a browser checks signatures only on a page of https or of this machine");
  }
  try {
    return await crypto.subtle.importKey("raw", publicKey.slice(), "Ed25519", false, ["verify"]);
  } catch (fault) {
    if (/** @type {Error} */ (fault).name === "DataError") return null;
    throw new NotCheckedHere("this browser has no Ed25519, the witnesses' kind of signature");
  }
}
