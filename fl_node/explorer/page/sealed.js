/** Sealed updates: encrypted with a key that the reveal publishes. */

import { counterMode } from "./aes.js";
import { concat, same, utf8 } from "./hex.js";
import { hmac } from "./sha256.js";

export const MAGIC = concat(utf8("ganchor"), Uint8Array.of(1));

/** @param {Uint8Array} blob sealed or plain @param {Uint8Array} salt as revealed @returns {Promise<Uint8Array>} the update */
export async function unseal(blob, salt) {
  if (!same(blob.subarray(0, MAGIC.length), MAGIC)) return blob;
  // HKDF (RFC 5869) without a salt of its own; 32 bytes are one block of its output.
  const extracted = hmac(new Uint8Array(32), salt);
  const key = hmac(extracted, concat(utf8("ganchor-sealed-update"), Uint8Array.of(1)));
  return counterMode(key, blob.subarray(MAGIC.length));
}
