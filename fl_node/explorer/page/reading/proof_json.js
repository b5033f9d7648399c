/** proof.json: the proof that a block holds the history head (docs/protocol.md, "Bundle"). */

import { fromHex } from "../hex.js";
import { parseCanonical } from "../json.js";
import { MOST_NODES } from "../proof/trie.js";
import { fields, hex, refuse } from "./spelling.js";

/** @import { Json } from "../json.js" */
/** @import { HeadProof } from "../proof/follow.js" */

export const MOST_PROOF = 2 ** 19;

/**
 * @param {Uint8Array} content untrusted
 * @returns {HeadProof} what it proves is for `follow` to say
 * @throws {BadData} "malformed": it is not the one spelling of a header and two lists of nodes
 */
export function readProof(content) {
  if (content.length > MOST_PROOF) refuse(`proof.json: more than ${MOST_PROOF} bytes`);
  const given = fields(parseCanonical(content), ["account", "header", "storage"], "proof.json");
  return { header: fromHex(hex(given.header, "header")), account: nodes(given.account, "account"), storage: nodes(given.storage, "storage") };
}

/** @param {Json} value @param {string} what @returns {Uint8Array[]} */
function nodes(value, what) {
  if (!Array.isArray(value) || value.length > MOST_NODES) return refuse(`${what}: expected a list of at most ${MOST_NODES} nodes`);
  return value.map((node) => fromHex(hex(node, what)));
}
