/** A store of blobs, each under its digest. */

import { BadData, NotCheckedHere } from "./faults.js";
import { received } from "./reading/received.js";

/** @import { Stream } from "./reading/received.js" */

/** @typedef {(digest: string) => Promise<Stream | null>} Fetch gives a blob's bytes as they arrive; null if the store does not have it */

/** The most bytes of a blob that the page holds: a browser gives a page some gigabytes in all. */
export const HELD = 2 ** 30;

/** Reads blobs, and hashes each before anybody uses it. */
export class Store {
  #fetch;
  #held;

  /** @param {Fetch} fetch @param {number} [held] */
  constructor(fetch, held = HELD) {
    this.#fetch = fetch;
    this.#held = held;
  }

  /**
   * @param {string} digest
   * @param {bigint} most bytes
   * @returns {Promise<Uint8Array>}
   * @throws {BadData} "missing", "oversized" or "tampered"
   * @throws {NotCheckedHere} the blob has its digest, and more bytes than a page holds
   */
  async get(digest, most) {
    const stream = await this.#fetch(digest);
    if (!stream) throw new BadData("missing", `the store does not have ${digest}`);
    const found = await received(stream, Number(most), this.#held);
    if (found.size > most) throw new BadData("oversized", `${digest} is longer than ${most} bytes`);
    if (found.digest !== digest) throw new BadData("tampered", `what lies under ${digest} has another digest`);
    if (!found.bytes) {
      throw new NotCheckedHere(`a blob of ${found.size} bytes has its digest, but a page holds ${this.#held} at most`);
    }
    return found.bytes;
  }
}
