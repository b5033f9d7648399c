/** A store of blobs, each under its digest. */

import { BadData } from "./faults.js";
import { digestOf } from "./sha256.js";

/**
 * @callback Fetch
 * @param {string} digest
 * @param {number} most how many bytes are enough: of a longer blob, one more than these will do
 * @returns {Promise<Uint8Array | null>} null if the store does not have it
 */

/** Reads blobs, and hashes each before anybody uses it. */
export class Store {
  #fetch;

  /** @param {Fetch} fetch */
  constructor(fetch) {
    this.#fetch = fetch;
  }

  /**
   * @param {string} digest
   * @param {bigint} most bytes
   * @returns {Promise<Uint8Array>}
   * @throws {BadData} "missing", "oversized" or "tampered"
   */
  async get(digest, most) {
    const blob = await this.#fetch(digest, Number(most));
    if (!blob) throw new BadData("missing", `the store does not have ${digest}`);
    if (BigInt(blob.length) > most) throw new BadData("oversized", `${digest} is longer than ${most} bytes`);
    if ((await digestOf(blob)) !== digest) throw new BadData("tampered", `what lies under ${digest} has another digest`);
    return blob;
  }
}
