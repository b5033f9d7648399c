/** The browser's own cryptography, which takes whole blobs only, but is many times as fast as what stands here. */

const SHORT = 2 ** 12;
const LONG = 2 ** 30;

/**
 * @param {Uint8Array} bytes
 * @returns {SubtleCrypto | null} null if our own takes less time (a short blob) or memory (a very long one), or if the page
 *   came over plain HTTP from another machine: to such pages browsers offer none
 */
export function nativeFor(bytes) {
  return crypto.subtle && bytes.length >= SHORT && bytes.length <= LONG ? crypto.subtle : null;
}
