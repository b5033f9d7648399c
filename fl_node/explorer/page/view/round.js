/** One round: what it started from, its updates, and what was made of them. */

import { element, table, whole, brief } from "./elements.js";
import { roundVerdict } from "./timeline.js";

/** @import { Again } from "../again.js" */
/** @import { Report } from "../audit.js" */
/** @import { ShownRound } from "./acts.js" */

const MILLION = 1e6;

/**
 * @typedef {object} RoundDetails
 * @property {boolean} pictured whether somebody drew pictures of the round's model
 * @property {(Again & {cosines: ReadonlyMap<string, number | null>}) | null} again what the round came to once more; null if nobody asked
 * @property {HTMLElement | null} lineage of its result
 */

/**
 * @param {ShownRound} round
 * @param {Report | null} report
 * @param {{again: (round: number) => void, hash: (digest: string, told: HTMLElement) => void}} actions
 * @param {RoundDetails} details
 * @returns {HTMLElement[]}
 */
export function roundCard(round, report, actions, details) {
  const result = element("p", { id: "again", role: "status" }, details.again ? againTold(details.again) : null);
  const differs = report?.findings.some((finding) => finding.round === round.round && finding.step === "A7");
  const again = element("button", { onclick: () => actions.again(round.round) }, differs ? "show the first tensor that differs" : "aggregate again");
  const made = round.finalised
    ? [element("dt", {}, "Result"), element("dd", {}, whole(round.finalised.aggregateDigest), " ", again, result, details.lineage)]
    : [];
  const seconds = round.ended ? [element("dt", {}, "Took"), element("dd", {}, `${round.ended - round.began} s`)] : [];
  return [
    element("h2", { id: "round-title", tabindex: "-1" }, `Round ${round.round} `, round.finalised ? roundVerdict(round.round, report) : "is running"),
    element("dl", {}, element("dt", {}, "Starts from"), element("dd", {}, whole(round.opened.parentDigest), ` (${cameFrom(round)})`), ...made, ...seconds),
    element("h3", {}, "Updates"),
    element("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Updates of the round", id: "updates" }, updates(round, report, actions.hash, details.again?.cosines)),
    ...findings(round, report),
    ...(details.pictured ? [pictures(round.round)] : []),
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

/** @param {Again} answer @returns {HTMLElement} */
export function againTold({ digest, differs, problem }) {
  if (differs) {
    const { name, index, recorded, recomputed } = differs;
    const where = index === null ? "" : `, element ${index}`;
    const words = `✗ it comes to ${digest}; the first tensor that differs is ${name}${where}: recorded ${recorded}, recomputed ${recomputed}`;
    return element("span", { class: "bad" }, words);
  }
  if (!problem) return element("span", { class: "good" }, `✓ the same: ${digest}`);
  return element("span", { class: "bad" }, digest ? `✗ it comes to ${digest}; the recorded model: ${problem}` : `cannot be aggregated: ${problem}`);
}

/**
 * @param {ShownRound} round
 * @param {Report | null} report
 * @param {(digest: string, told: HTMLElement) => void} hash
 * @param {ReadonlyMap<string, number | null>} [cosines] by client; not there before somebody asks
 * @returns {HTMLElement}
 */
export function updates(round, report, hash, cosines) {
  const audited = report?.rounds[round.round - 1]?.updates ?? [];
  const counted = round.reveals.filter(({ client }) => round.acts.get(client) === "included");
  const sum = counted.reduce((total, { reveal }) => total + reveal.numExamples, 0n);
  const metrics = [...new Set(audited.flatMap(({ stated }) => Object.keys(stated?.metrics ?? {})))].sort();
  const rows = round.reveals.map(({ client, reveal }) => {
    const found = audited.find((one) => one.client === client);
    const [why, stated] = [found?.leftOutBecause, found?.stated];
    const told = element("span", { role: "status" });
    const button = element("button", { onclick: () => hash(reveal.updateDigest, told), "aria-label": `hash the update of ${client}` }, "hash");
    const act = round.acts.get(client) ?? "";
    const share = act === "included" && sum ? ` (${((100 * Number(reveal.numExamples)) / Number(sum)).toFixed(1)} %)` : "";
    return [
      brief(client),
      why ? `${act}: ${why.replaceAll("_", " ")}` : act,
      `${reveal.numExamples}${share}`,
      stated ? stated.norm.toPrecision(5) : "",
      cosines?.get(client)?.toFixed(4) ?? "",
      stated ? stated.bytes.toLocaleString("en") : "",
      stated?.codec ?? "",
      (Number(reveal.trainingLoss) / MILLION).toFixed(4),
      (Number(reveal.heldOutLoss) / MILLION).toFixed(4),
      ...metrics.map((name) => stated?.metrics[name] ?? ""),
      element("span", {}, brief(reveal.updateDigest), " ", button, " ", told),
    ];
  });
  const numbers = ["examples (share)", "norm", "cosine to the mean", "bytes", "codec", "training loss", "held-out loss"];
  return table(["client", "outcome", ...numbers, ...metrics, "update"], rows);
}

/** @param {ShownRound} round @param {Report | null} report @returns {HTMLElement[]} */
function findings(round, report) {
  const found = report?.findings.filter((finding) => finding.round === round.round) ?? [];
  return found.map((finding) => {
    const values = finding.expected ? ` Expected ${finding.expected}, found ${finding.actual ?? "none"}.` : "";
    return element("p", { class: "bad" }, `${finding.step}: ${finding.message}.${values}`);
  });
}
