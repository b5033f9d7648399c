/** Work in order, of which the next pieces have begun: while one waits for the store, another computes. */

/**
 * @template T, R
 * @param {Iterable<T>} items
 * @param {(item: T) => Promise<R>} work
 * @param {number} most pieces at a time
 * @returns {AsyncGenerator<R>} what the work gives, in the items' order; throws what the first one throws that fails
 */
export async function* abreast(items, work, most) {
  /** @type {Promise<R>[]} */
  const begun = [];
  for (const item of items) {
    const result = work(item);
    // Whoever comes to it sees that it failed; nobody does if an earlier one failed.
    result.catch(() => {});
    begun.push(result);
    if (begun.length >= most) yield /** @type {Promise<R>} */ (begun.shift());
  }
  yield* begun;
}
