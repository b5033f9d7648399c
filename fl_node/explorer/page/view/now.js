/** Where the task stands, and what of it was checked. */

import { membersIn } from "../cohort.js";
import { element, table, whole } from "./elements.js";
import { isVerified } from "./timeline.js";

/** @import { Report } from "../audit.js" */
/** @import { TaskState } from "../task_state.js" */

const PHASES = ["not opened", "commit: members train", "reveal: members show their updates", "attest: members vote on the result", "finished"];

/** A chain is as old as its newest block; after this many seconds the page says so. */
const STILL = 300;

/** @type {Readonly<Record<string, string>>} */
const TITLES = {
  A1: "the code at the address is the committed contract, on the expected chain",
  A2: "the event log is complete: replaying it gives the history head",
  A3: "every event obeys the protocol",
  A4: "manifest and genesis are the recorded blobs",
  A5: "every included update is in the store and matches its digest",
  A6: "the validity rules give exactly the recorded set of updates",
  A7: "every recomputed aggregate has the recorded digest",
  A8: "each round starts from the last final model",
  A9: "a report agrees with the history",
};

/** What these steps say where the log and the state are a writer's word. */
const BUNDLED = {
  A1: "the code that the writer found at the address is the committed contract",
  A2: "the event log is complete up to the head that the bundle names: compare that with one from elsewhere",
  A5: "every included update is in the bundle and matches its digest",
};
/** @type {Readonly<Record<string, string>>} */
const ELSEWHERE = {
  A9: "a report lies on the disk of whoever wrote it",
};

/**
 * @param {TaskState} state
 * @param {readonly string[]} members
 * @param {boolean} live whether the chain is asked again and again, so that there is something to count down
 * @returns {HTMLElement[]} terms and descriptions; what changes by the second, `left` and `newest`, is empty
 */
export function standing(state, members, live) {
  const running = isRunning(state);
  const awaited = membersIn(members, state.awaited).map((member) => `${member.slice(0, 8)}…`);
  const rows = [
    ["Phase", PHASES[state.phase] ?? `unknown (${state.phase})`],
    ["Round", `${state.round} of ${state.terms.rounds}${state.attempt ? `, attempt ${state.attempt + 1}` : ""}`],
    ["Time left", running && live ? element("span", { id: "left" }) : ""],
    ["Waiting for", running ? awaited.join(", ") || "nobody" : ""],
    ["Members", String(members.length)],
    ["Current model", whole(state.parentDigest)],
    ["History head", whole(state.historyHead)],
    ["Newest block", live ? element("span", { id: "newest" }) : ""],
  ];
  return rows.filter(([, value]) => value !== "").flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]);
}

/** @param {TaskState} state @returns {boolean} */
export function isRunning(state) {
  return state.phase > 0 && state.phase < 4;
}

/** @param {number} seconds until the deadline; negative after it @returns {string} */
export function until(seconds) {
  return seconds <= 0 ? "none: any member can end the phase now" : inWords(seconds);
}

/** @param {number} block @param {number} seconds since it was made @param {boolean} running @returns {string} */
export function newest(block, seconds, running) {
  const still = running && seconds > STILL ? ": nobody has written to the chain since, or it stands still" : "";
  return `${block}, ${inWords(Math.max(seconds, 0))} old${still}`;
}

/** @param {number} seconds @returns {string} */
function inWords(seconds) {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

/**
 * @param {Report | null} report
 * @param {number} final how many rounds are final
 * @param {number} done how many were looked at so far
 * @returns {{words: string, mood: "good" | "bad" | "waiting"}}
 */
export function verdict(report, final, done) {
  if (!report) return { words: `Verifying in this browser: ${done} of ${final} rounds …`, mood: "waiting" };
  const [first, ...more] = report.findings;
  if (first) {
    const where = first.round ? `, round ${first.round}` : "";
    const rest = more.length ? ` (and ${more.length} more)` : "";
    return { words: `Not as recorded: ${first.step}${where}: ${first.message}${rest}`, mood: "bad" };
  }
  const verified = report.rounds.filter(({ round }) => isVerified(report, round)).length;
  const words = `Verified by this browser: ${verified} of ${final} rounds`;
  if (!final) return { words: "No round is final yet; the log is verified", mood: steps(report) ? "good" : "waiting" };
  return verified === final ? { words, mood: "good" } : { words: `${words}; the rest only by the audit`, mood: "waiting" };
}

/** @param {Report} report @returns {boolean} whether what concerns the log alone is clean */
function steps(report) {
  return report.steps.A2 === "clean" && report.steps.A3 === "clean";
}

/** @param {Report | null} report @param {boolean} bundled whether all of it is from a bundle @returns {HTMLElement} */
export function stepsTable(report, bundled) {
  const titles = bundled ? { ...TITLES, ...BUNDLED } : TITLES;
  const rows = Object.entries(titles).map(([step, title]) => [step, title, ...outcome(step, report)]);
  return table(["step", "what", "here", "why not"], rows);
}

/** @param {string} step @param {Report | null} report @returns {import("./elements.js").Part[]} */
function outcome(step, report) {
  const status = report?.steps[/** @type {"A2"} */ (step)];
  if (!status && step in ELSEWHERE) return ["by the audit only", ELSEWHERE[step]];
  if (!report) return [element("span", { class: "waiting" }, "not yet"), ""];
  const reasons = (report.reasons[step] ?? []).slice(0, 3).join("; ");
  switch (status) {
    case "clean":
      return [element("span", { class: "good" }, "✓ checked here: clean"), ""];
    case "findings": {
      const found = report.findings.filter((finding) => finding.step === step);
      return [element("span", { class: "bad" }, `✗ ${found.length} found`), found[0].message];
    }
    case "not checked here":
      return [element("span", { class: "waiting" }, "by the audit only"), reasons];
    default:
      return [element("span", { class: "waiting" }, "not reached"), reasons];
  }
}
