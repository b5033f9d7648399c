/** What a digest is in a history, and where a head stands in it. */

/** @import { Entry } from "../events.js" */

/** @param {string} digest @param {readonly Entry[]} entries @returns {string[]} sentences; none if it is unknown here */
export function meaningOf(digest, entries) {
  /** @type {Set<string>} */
  const meanings = new Set();
  for (const { event } of entries) {
    if (event.manifestDigest === digest) meanings.add("The manifest: what the members agreed on.");
    if (event.genesisDigest === digest) meanings.add("The genesis: the model that round 1 starts from.");
    if (event.reveal?.updateDigest === digest) meanings.add(`The update of ${event.client} in round ${event.round}.`);
    if (event.name === "RoundFinalised" && event.aggregateDigest === digest) meanings.add(`The model that round ${event.round} made final.`);
    if (event.name === "AggregateAttested" && event.aggregateDigest === digest) meanings.add(`What ${event.client} voted for in round ${event.round}.`);
    if (event.name === "TaskFinished" && event.finalDigest === digest) meanings.add("The task's final model.");
  }
  return [...meanings];
}

/** @param {string} text that somebody typed @param {readonly string[]} heads after each event @returns {string} */
export function placeOf(text, heads) {
  const digits = text.trim().toLowerCase().replace(/^0x/, "");
  if (!digits) return "";
  if (!/^[0-9a-f]{64}$/.test(digits)) return "A history head has 64 hex digits.";
  const at = heads.indexOf(digits);
  if (at === heads.length - 1) return "✓ The same: this is the head of the history that you see.";
  if (at >= 0) return `✓ This history went on from there: it is the head after event ${at} of ${heads.length - 1}.`;
  return "✗ Not of this history: somebody has seen another one, or the log that the page got is not whole.";
}
