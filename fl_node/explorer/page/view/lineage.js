/** Where a model comes from: the rounds that made it, back to the genesis. */

import { brief, element } from "./elements.js";

/** @import { Entry } from "../events.js" */
/** @import { Part } from "./elements.js" */
/** @import { ShownRound } from "./acts.js" */

/**
 * @typedef {object} Step
 * @property {string} digest of a model
 * @property {ShownRound | null} round that made it; null for the genesis
 */

/** @param {string} digest @param {readonly ShownRound[]} rounds @param {readonly Entry[]} entries @returns {Step[]} newest first; none if no round made it */
export function lineageOf(digest, rounds, entries) {
  const genesis = entries.find(({ event }) => event.name === "TaskOpened")?.event.genesisDigest;
  /** @type {Step[]} */
  const steps = [];
  // A round may make the model that it started from: so each step looks at earlier rounds only.
  for (const round of [...rounds].reverse()) {
    if (round.finalised?.aggregateDigest !== digest) continue;
    steps.push({ digest, round });
    digest = round.opened.parentDigest;
  }
  if (digest === genesis) steps.push({ digest, round: null });
  return steps;
}

/** @param {readonly Step[]} steps @param {readonly Entry[]} entries @returns {HTMLElement | null} null if the model is unknown */
export function lineage(steps, entries) {
  if (!steps.length) return null;
  const manifest = entries.find(({ event }) => event.name === "TaskOpened")?.event.manifestDigest ?? "";
  const items = steps.map(({ digest, round }) => element("li", {}, brief(digest), " ", ...(round ? madeBy(round) : [`the genesis, on which the manifest `, brief(manifest), " agrees"])));
  const whole = steps[steps.length - 1].round === null;
  const lost = whole ? null : element("p", { class: "bad" }, "Its history does not lead back to the genesis.");
  return element("details", { class: "lineage" }, element("summary", {}, `Where it comes from: ${steps.length - (whole ? 1 : 0)} rounds back`), element("ol", {}, ...items), lost);
}

/** @param {ShownRound} round @returns {Part[]} */
function madeBy(round) {
  const included = round.reveals.filter(({ client }) => round.acts.get(client) === "included");
  const names = included.flatMap(({ client }, i) => [i ? ", " : "", brief(client)]);
  return names.length ? [`round ${round.round}, from the updates of `, ...names] : [`round ${round.round}, which included no update`];
}
