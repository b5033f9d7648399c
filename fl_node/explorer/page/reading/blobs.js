/** Fetches blobs from a store that is served over HTTP, as `URL/SHA256`. Who reads them hashes them. */

/** @import { Fetch } from "../store.js" */

/** The store gave no answer, which is not the same as having no such blob. */
export class StoreAway extends Error {}

/** @param {string} url with a slash at its end @returns {Fetch} */
export function blobsAt(url) {
  return async (digest) => {
    let response;
    try {
      response = await fetch(url + digest);
    } catch {
      throw new StoreAway("the store does not answer this page: it is away, or it answers no web pages (CORS)");
    }
    if (response.status === 404) return null;
    // `ganchor explore` has looked: what lies there has another digest. Anything that is not the blob says so.
    if (response.status === 409) return new Blob().stream();
    if (!response.ok) throw new StoreAway(`the store answers with HTTP status ${response.status}`);
    return response.body;
  };
}
