/** Seeds: each follows from another one and some labels. */

import { toNumber, utf8 } from "./hex.js";
import { sha256 } from "./sha256.js";

/** @param {bigint} root @param {...(string | number)} labels @returns {bigint} below 2^63 */
export function deriveSeed(root, ...labels) {
  return toNumber(sha256(utf8([root, ...labels].join("\n"))).subarray(0, 8)) >> 1n;
}
