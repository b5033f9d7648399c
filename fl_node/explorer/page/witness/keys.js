/** A witness's key, as others know it: one line, NAME+ID+KEY (docs/protocol.md, "Cosigned heads"; C2SP, signed-note). */

import { BadData } from "../faults.js";
import { concat, toHex, utf8 } from "../hex.js";
import { sha256 } from "../sha256.js";
import { fromBase64 } from "./base64.js";

/**
 * @typedef {object} VerifierKey what is needed to check a witness's signatures
 * @property {string} name
 * @property {string} id tells the keys of one name apart: 4 bytes as hex
 * @property {Uint8Array} publicKey 32 bytes (Ed25519)
 */

const LINE = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/u;
const NAME = /^[!-*,-~]{1,200}$/;

/** The type of a timestamped Ed25519 cosignature among all signatures of notes. */
const COSIGNATURE = 4;
const PUBLIC_BYTES = 32;

/** @param {string} text @returns {boolean} whether a witness may have this name: printable ASCII, no space and no plus sign */
export function isName(text) {
  return NAME.test(text);
}

/** @param {string} text as `ganchor witness --new-key` prints it @returns {VerifierKey} @throws {BadData} "malformed" */
export function readVerifierKey(text) {
  const [, name, id, encoded] = LINE.exec(text.trim()) ?? [];
  const content = encoded ? contentOf(encoded) : new Uint8Array();
  const whole = content.length === 1 + PUBLIC_BYTES && content[0] === COSIGNATURE && isName(name);
  if (!whole || id !== idOf(name, content)) {
    throw new BadData("malformed", `expected a witness's key, NAME+ID+KEY, got ${text.trim().slice(0, 300)}`);
  }
  return { name, id, publicKey: content.subarray(1) };
}

/** @param {string} encoded @returns {Uint8Array} empty if it is not base64 */
function contentOf(encoded) {
  try {
    return fromBase64(encoded);
  } catch (fault) {
    if (fault instanceof BadData) return new Uint8Array();
    throw fault;
  }
}

/** @param {string} name @param {Uint8Array} content type and public key @returns {string} */
function idOf(name, content) {
  return toHex(sha256(concat(utf8(`${name}\n`), content)).subarray(0, 4));
}
