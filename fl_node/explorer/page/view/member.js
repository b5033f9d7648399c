/** One member: in which rounds it took part, where it missed, and what of it was left out and why. */

import { element, table, whole } from "./elements.js";

/** @import { Report } from "../audit.js" */
/** @import { ShownRound } from "./acts.js" */

/**
 * @param {string} member
 * @param {readonly ShownRound[]} rounds
 * @param {Report | null} report
 * @returns {HTMLElement[]}
 */
export function memberCard(member, rounds, report) {
  const counts = countsOf(rounds.map(({ acts }) => acts.get(member) ?? ""));
  const reasons = countsOf(rounds.flatMap((round) => reasonOf(member, round, report) ?? []));
  const rows = [
    ["Address", whole(member)],
    ["Rounds", told(counts)],
    ["Left out because", told(reasons)],
    ["Examples counted", String(examplesOf(member, rounds))],
  ];
  const terms = rows.filter(([, value]) => value !== "").flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]);
  const each = rounds.map((round) => {
    const revealed = round.reveals.find(({ client }) => client === member);
    return [String(round.round), round.acts.get(member) ?? "", reasonOf(member, round, report) ?? "", revealed ? String(revealed.reveal.numExamples) : ""];
  });
  return [
    element("h2", { id: "member-title", tabindex: "-1" }, `Member ${member.slice(0, 8)}…`),
    element("dl", {}, ...terms),
    element("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Rounds of the member" }, table(["round", "outcome", "left out because", "examples"], each)),
  ];
}

/** @param {string} member @param {ShownRound} round @param {Report | null} report @returns {string | null} why its update was left out, as far as it is known */
function reasonOf(member, round, report) {
  if (round.acts.get(member) !== "left out") return null;
  const why = report?.rounds[round.round - 1]?.updates.find(({ client }) => client === member)?.leftOutBecause;
  return why ? why.replaceAll("_", " ") : "not known here";
}

/** @param {string} member @param {readonly ShownRound[]} rounds @returns {bigint} as it says itself, in the updates that were included */
function examplesOf(member, rounds) {
  const counted = rounds.filter(({ acts }) => acts.get(member) === "included");
  const revealed = counted.flatMap(({ reveals }) => reveals.filter(({ client }) => client === member));
  return revealed.reduce((sum, { reveal }) => sum + reveal.numExamples, 0n);
}

/** @param {readonly string[]} words @returns {Map<string, number>} how often each is there */
function countsOf(words) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** @param {ReadonlyMap<string, number>} counts @returns {string} */
function told(counts) {
  return [...counts].map(([word, count]) => `${word} ${count}×`).join(", ");
}
