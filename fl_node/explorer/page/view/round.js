/** One round: what it started from, its updates, and what was made of them. */

import { element, table, whole, brief } from "./elements.js";
import { roundVerdict } from "./timeline.js";

/** @import { Report } from "../audit.js" */
/** @import { ShownRound } from "./acts.js" */

const MILLION = 1e6;

/**
 * @param {ShownRound} round
 * @param {Report | null} report
 * @param {{again: (round: number) => void, hash: (digest: string, told: HTMLElement) => void}} actions
 * @param {boolean} pictured whether somebody drew pictures of the round's model
 * @returns {HTMLElement[]}
 */
export function roundCard(round, report, actions, pictured) {
  const result = element("p", { id: "again", role: "status" });
  const again = element("button", { onclick: () => actions.again(round.round) }, "aggregate again");
  const made = round.finalised
    ? [element("dt", {}, "Result"), element("dd", {}, whole(round.finalised.aggregateDigest), " ", again, result)]
    : [];
  const seconds = round.ended ? [element("dt", {}, "Took"), element("dd", {}, `${round.ended - round.began} s`)] : [];
  return [
    element("h2", { id: "round-title", tabindex: "-1" }, `Round ${round.round} `, round.finalised ? roundVerdict(round.round, report) : "is running"),
    element("dl", {}, element("dt", {}, "Starts from"), element("dd", {}, whole(round.opened.parentDigest), ` (${cameFrom(round)})`), ...made, ...seconds),
    element("h3", {}, "Updates"),
    element("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Updates of the round" }, updates(round, report, actions.hash)),
    ...findings(round, report),
    ...(pictured ? [pictures(round.round)] : []),
  ];
}

/** @param {number} round @returns {HTMLElement} */
function pictures(round) {
  const words = `Drawn from the model of round ${round} by ganchor, when the run ended; the page does not check pictures.`;
  return element("figure", {}, element("img", { src: `pictures/${round}`, alt: `What the model of round ${round} draws` }), element("figcaption", { class: "quiet" }, words));
}

/** @param {ShownRound} round @returns {string} */
function cameFrom(round) {
  return round.round === 1 ? "the genesis" : `the result of round ${round.round - 1}`;
}

/** @param {ShownRound} round @param {Report | null} report @param {(digest: string, told: HTMLElement) => void} hash @returns {HTMLElement} */
function updates(round, report, hash) {
  const audited = report?.rounds[round.round - 1]?.updates ?? [];
  const counted = round.reveals.filter(({ client }) => round.acts.get(client) === "included");
  const sum = counted.reduce((total, { reveal }) => total + reveal.numExamples, 0n);
  const rows = round.reveals.map(({ client, reveal }) => {
    const why = audited.find((one) => one.client === client)?.leftOutBecause;
    const told = element("span", { role: "status" });
    const button = element("button", { onclick: () => hash(reveal.updateDigest, told), "aria-label": `hash the update of ${client}` }, "hash");
    const act = round.acts.get(client) ?? "";
    const share = act === "included" && sum ? ` (${((100 * Number(reveal.numExamples)) / Number(sum)).toFixed(1)} %)` : "";
    return [
      brief(client),
      why ? `${act}: ${why.replaceAll("_", " ")}` : act,
      `${reveal.numExamples}${share}`,
      (Number(reveal.trainingLoss) / MILLION).toFixed(4),
      (Number(reveal.heldOutLoss) / MILLION).toFixed(4),
      element("span", {}, brief(reveal.updateDigest), " ", button, " ", told),
    ];
  });
  return table(["client", "outcome", "examples (share)", "training loss", "held-out loss", "update"], rows);
}

/** @param {ShownRound} round @param {Report | null} report @returns {HTMLElement[]} */
function findings(round, report) {
  const found = report?.findings.filter((finding) => finding.round === round.round) ?? [];
  return found.map((finding) => {
    const values = finding.expected ? ` Expected ${finding.expected}, found ${finding.actual ?? "none"}.` : "";
    return element("p", { class: "bad" }, `${finding.step}: ${finding.message}.${values}`);
  });
}
