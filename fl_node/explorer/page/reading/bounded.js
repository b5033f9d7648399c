/** Bodies of answers, no longer than somebody wants them. */

/**
 * @param {Response} response
 * @param {number} most bytes that are enough: of a longer body one more than these is read
 * @returns {Promise<Uint8Array>}
 */
export async function bounded(response, most) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  /** @type {Uint8Array[]} */
  const chunks = [];
  let size = 0;
  while (size <= most) {
    const { done, value } = await reader.read();
    if (done) return joined(chunks, size);
    chunks.push(value);
    size += value.length;
  }
  await reader.cancel();
  return joined(chunks, most + 1);
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
