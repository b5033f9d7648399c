/** Rounds and members as a table, and the losses as curves. */

import { element } from "./elements.js";
import { meanLoss } from "./acts.js";

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
 * @returns {HTMLElement}
 */
export function timeline(rounds, members, report, chosen, choose) {
  const heads = rounds.map(({ round }) => {
    const pressed = String(round === chosen);
    const button = element("button", { "aria-pressed": pressed, onclick: () => choose(round) }, `round ${round}`);
    return element("th", { scope: "col" }, button);
  });
  const rows = members.map((member, i) => {
    const name = element("th", { scope: "row" }, `${i + 1} `, element("span", { class: "digest", title: member }, `${member.slice(0, 8)}…`));
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

const [WIDE, HIGH, EDGE] = [640, 180, 40];

/** @param {readonly ShownRound[]} rounds @returns {Element | null} the mean losses by round; null while there are fewer than two */
export function curves(rounds) {
  const final = rounds.filter(({ finalised }) => finalised);
  const lines = ["training", "held-out"].map((name) => {
    const which = name === "training" ? "trainingLoss" : "heldOutLoss";
    const points = final.map((round) => [round.round, meanLoss(round, which)]);
    return { name, points: /** @type {[number, number][]} */ (points.filter(([, loss]) => loss !== null)) };
  });
  const values = lines.flatMap(({ points }) => points.map(([, loss]) => loss));
  if (final.length < 2 || !values.length) return null;
  const [low, high] = [Math.min(...values, 0), Math.max(...values)];
  const x = (/** @type {number} */ round) => EDGE + ((round - 1) / (final.length - 1)) * (WIDE - 2 * EDGE);
  const y = (/** @type {number} */ loss) => HIGH - EDGE - ((loss - low) / (high - low || 1)) * (HIGH - 2 * EDGE);
  const first = lines.map(({ points }) => `${points[0]?.[1].toFixed(4)} to ${points[points.length - 1]?.[1].toFixed(4)}`);
  const told = `Mean losses by round: training ${first[0]}, held out ${first[1]}`;
  const parts = lines.map(({ name, points }) =>
    drawn("path", { class: name, d: points.map(([round, loss], i) => `${i ? "L" : "M"}${x(round)} ${y(loss)}`).join("") }),
  );
  const figure = drawn("svg", { class: "curve", viewBox: `0 0 ${WIDE} ${HIGH}`, width: String(WIDE), role: "img", "aria-label": told });
  const base = drawn("line", { x1: EDGE, x2: WIDE - EDGE, y1: y(low), y2: y(low) });
  figure.append(base, ...parts, label(4, y(high) + 4, high.toFixed(2)), label(4, y(low) + 4, low.toFixed(2)));
  figure.append(label(EDGE, 14, "training loss (solid) and held-out loss (dashed), means weighted by examples"));
  figure.append(label(EDGE, HIGH - 12, "round 1"), label(WIDE - 2 * EDGE, HIGH - 12, `round ${final.length}`));
  return figure;
}

/** @param {number} x @param {number} y @param {string} words @returns {Element} */
function label(x, y, words) {
  const made = drawn("text", { x, y });
  made.textContent = words;
  return made;
}

/** @param {string} name @param {Record<string, string | number>} attributes @returns {Element} */
function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
