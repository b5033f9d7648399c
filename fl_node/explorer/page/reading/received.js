/** Bodies of answers and files of a bundle, as they arrive: no longer than somebody wants them. */

import { toHex } from "../hex.js";
import { digestOf, Sha256 } from "../sha256.js";

/** @typedef {ReadableStream<Uint8Array>} Stream */
/** @typedef {{size: number, digest: string, bytes: Uint8Array | null}} Received the bytes are null if they are too many to hold */

/**
 * @param {Stream} stream
 * @param {number} most bytes that are enough: of a longer stream one more than these is read
 * @returns {Promise<Uint8Array>}
 */
export async function bounded(stream, most) {
  const reader = stream.getReader();
  const { chunks, size } = await first(reader, most);
  if (size > most) await reader.cancel();
  return joined(chunks, Math.min(size, most + 1));
}

/**
 * Receive a blob and hash it. One that is too long to be held is hashed as it arrives.
 *
 * @param {Stream} stream
 * @param {number} most bytes that are enough: of a longer blob nothing is told but that it is longer
 * @param {number} held the most bytes that are kept
 * @returns {Promise<Received>}
 */
export async function received(stream, most, held) {
  const reader = stream.getReader();
  const { chunks, size } = await first(reader, Math.min(most, held));
  if (size <= Math.min(most, held)) {
    const bytes = joined(chunks, size);
    return { size, digest: await digestOf(bytes), bytes };
  }
  const hash = new Sha256();
  for (const chunk of chunks) hash.update(chunk);
  return { ...(await hashed(reader, hash, size, most)), bytes: null };
}

/** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {number} most bytes @returns {Promise<{chunks: Uint8Array[], size: number}>} all of a shorter stream; of a longer one the chunks that exceed it, if only by one byte */
async function first(reader, most) {
  /** @type {Uint8Array[]} */
  const chunks = [];
  let size = 0;
  while (size <= most) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.length;
  }
  return { chunks, size };
}

/** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {Sha256} hash of what came already @param {number} size of that @param {number} most @returns {Promise<{size: number, digest: string}>} */
async function hashed(reader, hash, size, most) {
  while (size <= most) {
    const { done, value } = await reader.read();
    if (done) return { size, digest: toHex(hash.digest()) };
    hash.update(value);
    size += value.length;
  }
  await reader.cancel();
  return { size, digest: "" };
}

/** @param {readonly Uint8Array[]} chunks @param {number} size of the whole; what is beyond it is left out @returns {Uint8Array} */
function joined(chunks, size) {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk.subarray(0, whole.length - at), at);
    at += chunk.length;
  }
  return whole;
}
