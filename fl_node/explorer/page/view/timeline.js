/** Rounds and members as a table. */

import { element } from "./elements.js";

/** @import { ShownRound } from "./acts.js" */
/** @import { Report } from "../audit.js" */

/** @type {Readonly<Record<string, string>>} */
const SIGNS = {
  included: "✓",
  "left out": "✗",
  missed: "–",
  "did not reveal": "–",
  declined: "○",
  "not drawn": "·",
  expected: "…",
  committed: "…",
  revealed: "…",
};

/**
 * @param {readonly ShownRound[]} rounds
 * @param {readonly string[]} members
 * @param {Report | null} report
 * @param {number} chosen round
 * @param {(round: number) => void} choose
 * @param {(member: string) => void} chooseMember
 * @returns {HTMLElement}
 */
export function timeline(rounds, members, report, chosen, choose, chooseMember) {
  const heads = rounds.map(({ round }) => {
    const pressed = String(round === chosen);
    const button = element("button", { "aria-pressed": pressed, onclick: () => choose(round) }, `round ${round}`);
    return element("th", { scope: "col" }, button);
  });
  const rows = members.map((member, i) => {
    const button = element("button", { class: "digest", title: member, onclick: () => chooseMember(member) }, `${member.slice(0, 8)}…`);
    const name = element("th", { scope: "row" }, `${i + 1} `, button);
    return element("tr", {}, name, ...rounds.map((round) => cell(round, member, report)));
  });
  const checked = rounds.map((round) => element("td", {}, ...verdictOf(round, report)));
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "member"), ...heads)),
    element("tbody", {}, ...rows, element("tr", {}, element("th", { scope: "row" }, "checked here"), ...checked)),
  );
}

/** @param {ShownRound} round @param {string} member @param {Report | null} report @returns {HTMLElement} */
function cell(round, member, report) {
  const act = round.acts.get(member) ?? "";
  const audited = report?.rounds[round.round - 1]?.updates.find(({ client }) => client === member);
  const finding = report?.findings.find((one) => one.round === round.round && one.client === member);
  const why = act === "left out" && audited?.leftOutBecause ? `: ${audited.leftOutBecause.replaceAll("_", " ")}` : "";
  return element("td", { class: finding ? "bad" : "", title: finding?.message ?? "" }, `${SIGNS[act] ?? ""} ${act}${why}`);
}

/** @param {ShownRound} round @param {Report | null} report @returns {Node[]} */
function verdictOf(round, report) {
  const aborted = round.aborted ? [element("div", {}, `${round.aborted} aborted before`)] : [];
  if (!round.finalised) return [element("span", {}, "running"), ...aborted];
  return [roundVerdict(round.round, report), ...aborted];
}

/** @param {number} round @param {Report | null} report @returns {HTMLElement} never green for what was not checked */
export function roundVerdict(round, report) {
  if (!report?.rounds[round - 1]) return element("span", { class: "waiting" }, "not yet");
  if (report.findings.some((finding) => finding.round === round)) return element("span", { class: "bad" }, "✗ finding");
  return isVerified(report, round) ? element("span", { class: "good" }, "✓ verified") : element("span", { class: "waiting" }, "by the audit only");
}

/** @param {Report} report @param {number} round @returns {boolean} whether every step that concerns it was carried out, and clean */
export function isVerified(report, round) {
  const whole = ["A2", "A3", "A4", "A8"].every((step) => report.steps[/** @type {"A2"} */ (step)] === "clean");
  const left = Object.values(report.reasons).flat();
  const here = left.some((reason) => reason.startsWith(`round ${round}:`) || !reason.startsWith("round "));
  return whole && !here && !report.findings.some((finding) => finding.round === round);
}
