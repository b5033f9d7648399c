/** Losses and named metrics by round, as curves. */

import { meanLoss } from "./acts.js";

/** @import { Report } from "../audit.js" */
/** @import { ShownRound } from "./acts.js" */

/** @typedef {{name: string, style: "first" | "second", points: [number, number][]}} Line its points are round and value */

const [WIDE, HIGH, EDGE] = [640, 180, 40];

/** @param {readonly ShownRound[]} rounds @returns {Element | null} the mean losses by round; null while there are fewer than two */
export function lossCurves(rounds) {
  const training = /** @type {Line} */ ({ name: "training", style: "first", points: lossesOf(rounds, "trainingLoss") });
  const heldOut = /** @type {Line} */ ({ name: "held out", style: "second", points: lossesOf(rounds, "heldOutLoss") });
  return figure("Mean losses", "training loss (solid) and held-out loss (dashed), means weighted by examples", [training, heldOut]);
}

/** @param {readonly ShownRound[]} rounds @param {"trainingLoss" | "heldOutLoss"} which @returns {[number, number][]} */
function lossesOf(rounds, which) {
  return rounds.filter(({ finalised }) => finalised).flatMap((round) => {
    const loss = meanLoss(round, which);
    return loss === null ? [] : [/** @type {[number, number]} */ ([round.round, loss])];
  });
}

/** @param {readonly ShownRound[]} rounds @param {Report | null} report @returns {Element[]} one for each metric with two values */
export function metricCurves(rounds, report) {
  const names = new Set(report?.rounds.flatMap(({ updates }) => updates.flatMap(({ stated }) => Object.keys(stated?.metrics ?? {}))));
  return [...names].sort().flatMap((name) => {
    const points = rounds.flatMap((round) => {
      const mean = meanMetric(round, report, name);
      return mean === null ? [] : [/** @type {[number, number]} */ ([round.round, mean])];
    });
    return figure(`Mean of ${name}`, `${name}, mean weighted by examples`, [{ name, style: "first", points }]) ?? [];
  });
}

/**
 * @param {ShownRound} round
 * @param {Report | null} report
 * @param {string} name
 * @returns {number | null} mean over the included updates that have a value, near enough to look at; null if not all of them were read
 */
export function meanMetric(round, report, name) {
  const audited = report?.rounds[round.round - 1]?.updates.filter(({ included }) => included) ?? [];
  if (!audited.every(({ stated }) => stated)) return null;
  let [sum, examples] = [0, 0];
  for (const { client, stated } of audited) {
    const value = stated?.metrics[name];
    if (typeof value !== "string") continue;
    const weight = Number(round.reveals.find((revealed) => revealed.client === client)?.reveal.numExamples ?? 0);
    [sum, examples] = [sum + weight * Number(value), examples + weight];
  }
  return examples ? sum / examples : null;
}

/** @param {string} title @param {string} words @param {readonly Line[]} lines @returns {Element | null} null if no line has two points */
function figure(title, words, lines) {
  const points = lines.flatMap((line) => line.points);
  if (!lines.some((line) => line.points.length > 1)) return null;
  const [values, numbers] = [points.map(([, value]) => value), points.map(([round]) => round)];
  const [low, high] = [Math.min(...values, 0), Math.max(...values)];
  const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
  const x = (/** @type {number} */ round) => EDGE + ((round - first) / (last - first)) * (WIDE - 2 * EDGE);
  const y = (/** @type {number} */ value) => HIGH - EDGE - ((value - low) / (high - low || 1)) * (HIGH - 2 * EDGE);
  const told = lines.map(({ name, points }) => `${name} ${points[0]?.[1].toFixed(4)} to ${points[points.length - 1]?.[1].toFixed(4)}`);
  const drawing = drawn("svg", {
    class: "curve",
    viewBox: `0 0 ${WIDE} ${HIGH}`,
    width: String(WIDE),
    role: "img",
    "aria-label": `${title} by round: ${told.join(", ")}`,
  });
  drawing.append(drawn("line", { x1: EDGE, x2: WIDE - EDGE, y1: y(low), y2: y(low) }));
  for (const { style, points } of lines) {
    drawing.append(drawn("path", { class: style, d: points.map(([round, value], i) => `${i ? "L" : "M"}${x(round)} ${y(value)}`).join("") }));
  }
  drawing.append(label(4, y(high) + 4, high.toFixed(2)), label(4, y(low) + 4, low.toFixed(2)), label(EDGE, 14, words));
  drawing.append(label(EDGE, HIGH - 12, `round ${first}`), label(WIDE - 2 * EDGE, HIGH - 12, `round ${last}`));
  return drawing;
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
