/** Base64 (RFC 4648, section 4), of which each text has one spelling. */

import { BadData } from "../faults.js";

/** @param {Uint8Array} bytes @returns {string} */
export function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** @param {string} text @returns {Uint8Array} @throws {BadData} "malformed": it is not the one spelling of any bytes */
export function fromBase64(text) {
  let found = "";
  try {
    found = atob(text);
  } catch {
    throw new BadData("malformed", "not base64");
  }
  if (btoa(found) !== text) throw new BadData("malformed", "not the one spelling in base64"); // atob forgives a lot.
  return Uint8Array.from(found, (character) => character.charCodeAt(0));
}
