/** The page: takes what the worker reads and verifies, and shows it. */

import { ChainClock } from "./clock.js";
import { withFindings } from "./findings.js";
import { blobsAt } from "./reading/blobs.js";
import { blobsOf, isBundle } from "./reading/bundle.js";
import { received } from "./reading/received.js";
import { membersOf } from "./record.js";
import { HELD } from "./store.js";
import { roundsOf } from "./view/acts.js";
import { BlockForm } from "./view/block.js";
import { lossCurves, metricCurves } from "./view/curves.js";
import { byId, element, fill, shown } from "./view/elements.js";
import { lineage, lineageOf } from "./view/lineage.js";
import { memberCard } from "./view/member.js";
import { meaningOf, placeOf } from "./view/named.js";
import { isRunning, newest, standing, stepsTable, until, verdict } from "./view/now.js";
import { againTold, roundCard, updates } from "./view/round.js";
import { timeline } from "./view/timeline.js";
import { WitnessForm } from "./view/witnesses.js";
import { isNotes, originOf } from "./witness/note.js";

/** @import { Report } from "./audit.js" */
/** @import { Entry } from "./events.js" */
/** @import { News } from "./following.js" */
/** @import { HeadProof } from "./proof/follow.js" */
/** @import { TaskState } from "./task_state.js" */
/** @import { Where } from "./worker.js" */

const MOST_TRIES = 3;

/** What the page knows of a history before it has read any of it. */
const nothing = () => ({
  /** @type {Where | null} */ where: null,
  /** @type {TaskState | null} */ state: null,
  /** @type {readonly Entry[]} */ entries: [],
  /** @type {readonly string[]} */ heads: [],
  /** @type {Report | null} */ report: null,
  /** Whether the report is of the whole log, or of its beginning. */ current: false,
  name: "",
  clock: new ChainClock(),
  /** The newest block, and its time in seconds. */ block: 0,
  time: 0,
  done: 0,
  chosen: 0,
  /** @type {Map<number, any>} what rounds came to once more, by round */ again: new Map(),
  member: "",
  /** @type {readonly Uint8Array[]} notes that the bundle holds */ signed: [],
  /** @type {HeadProof | null} that the bundle holds */ proof: null,
  broken: "",
});

/** What the page knows so far. */
const known = nothing();

/** Loads its modules while the page asks where to look. */
let worker = started();

const witnesses = new WitnessForm(() => (showVerdict(), showSteps()));
const blocks = new BlockForm(() => (showVerdict(), showSteps()));

/** @returns {Promise<Where>} from the page's address, or from the server that the page came from */
async function whereToLook() {
  const given = new URLSearchParams(location.search);
  const blobs = given.get("store");
  if (given.has("rpc") && given.has("contract") && blobs) {
    return {
      rpc: given.get("rpc") ?? "",
      blobs: blobs.endsWith("/") ? blobs : `${blobs}/`,
      chainId: given.get("chain_id") ?? "",
      contract: given.get("contract") ?? "",
      firstBlock: Number(given.get("first_block") ?? 0),
      task: given.get("task") ?? "1",
    };
  }
  const here = (/** @type {string} */ path) => new URL(path, location.href).href;
  const told = await fetch("site.json");
  if (!told.ok && (await fetch("../bundle.json")).ok) return inBundle(here("../"), "");
  const site = await told.json();
  if (site.bundle) return { ...inBundle(here("bundle/"), here("blobs/")), witnesses: site.witnesses };
  return {
    rpc: here("rpc"),
    blobs: here("blobs/"),
    chainId: String(site.chain_id),
    contract: site.contract,
    firstBlock: site.first_block,
    task: String(site.task),
    pictures: site.pictures,
    witnesses: site.witnesses,
  };
}

/** @param {string | File} bundle @param {string} blobs where they are if the bundle only names them @returns {Where} */
function inBundle(bundle, blobs) {
  return { bundle, blobs, rpc: "", chainId: "", contract: "", firstBlock: 0, task: "" };
}

/** @param {any} message of the worker */
function take(message) {
  switch (message.kind) {
    case "whose":
      known.where = { .../** @type {Where} */ (known.where), chainId: message.chainId, contract: message.contract, task: message.task };
      [known.signed, known.proof] = [message.signed, message.proof];
      showWhere();
      break;
    case "look":
      known.clock.see(message.block, message.now, Date.now() / 1000);
      byId("away").hidden = true;
      if (message.state.historyHead !== known.state?.historyHead || message.block !== known.block) {
        [known.state, known.block, known.time] = [message.state, message.block, message.now];
        showNow();
      }
      break;
    case "log":
      takeLog(message);
      showHistory();
      hear();
      break;
    case "manifest":
      known.name = message.name;
      showWhere();
      break;
    case "progress":
      known.done = message.done;
      showVerdict();
      break;
    case "report":
      [known.report, known.current] = [message.report, true];
      showHistory();
      break;
    case "again":
      known.again.set(message.round, message);
      if (message.round === known.chosen) showAgain();
      break;
    case "away":
      fill("away", `${message.message}. What you see is what was there before; the page goes on asking.`);
      byId("away").hidden = false;
      break;
    case "incomplete":
      known.broken = "Some of the page's files did not arrive. Load it again.";
      showVerdict();
      break;
    case "broken":
      known.broken = `${known.where?.bundle ? "This is no bundle" : "What the endpoint gives is no history of this task"}: ${message.message}`;
      showVerdict();
  }
}

/** @param {News} news of the log */
function takeLog({ at, entries, heads, changed }) {
  if (changed !== null) {
    fill("changed", `Event ${changed + 1} is not what, or not where, it was when this page last looked: the chain was reorganised, or the endpoint now tells another history. Everything is verified again, from the beginning.`);
    byId("changed").hidden = false;
  }
  if (!at) {
    known.report = null;
    known.again.clear();
  }
  known.entries = [...known.entries.slice(0, at), ...entries];
  known.heads = [...known.heads.slice(0, at && at + 1), ...heads];
  [known.current, known.done] = [false, known.report?.rounds.length ?? 0];
}

function showWhere() {
  const { where, name } = known;
  if (!where?.task) return;
  fill("title", name || `Task ${where.task}`);
  document.title = shown(`${name || "task"} · ganchor`);
  const from = where.bundle ? ", from a bundle" : "";
  fill("where", `task ${where.task} of contract ${where.contract} on chain ${where.chainId}${from}`);
  byId("proves").hidden = !where.bundle;
}

function showNow() {
  const { state, entries, where } = known;
  if (state) fill("now", ...standing(state, membersOf(entries), !where?.bundle));
  showSeconds();
}

/** Alone, once a second: what somebody marks in the rest, to copy it, stays marked. */
function showSeconds() {
  const { state, clock, block, time, where } = known;
  if (!state || where?.bundle) return;
  const now = Date.now() / 1000 + clock.ahead;
  fill("newest", newest(block, now - time, isRunning(state)));
  if (isRunning(state)) fill("left", until(state.deadline - now));
}

function showVerdict() {
  const final = known.entries.filter(({ event }) => event.name === "RoundFinalised").length;
  const { words, mood } = known.broken
    ? { words: known.broken, mood: "bad" }
    : verdict(reported(), final, known.done);
  byId("verdict").className = `verdict ${mood}`;
  fill("verdict", words);
}

/** @returns {Report | null} of the whole log, with what is wrong by what witnesses and a block say */
function reported() {
  return known.current && known.report ? withFindings(known.report, [...blocks.findings, ...witnesses.findings]) : null;
}

function showSteps() {
  fill("steps", stepsTable(reported(), Boolean(known.where?.bundle)));
}

/** Ask what the witnesses say of the log, and what the block that holds the head. */
function hear() {
  const { where, proof, state, entries } = known;
  const { chainId, contract, task } = /** @type {Where} */ (where);
  const site = { chainId: BigInt(chainId), contract, task: BigInt(task) };
  witnesses.hear({ origin: originOf(site), heads: known.heads }, known.signed);
  blocks.hear(proof && { proof, ...site, head: state?.historyHead, last: entries[entries.length - 1] });
}

function showHistory() {
  const members = membersOf(known.entries);
  const rounds = roundsOf(known.entries, members);
  showVerdict();
  showNow();
  fill("timeline", timeline(rounds, members, known.report, known.chosen, choose, chooseMember));
  fill("curves", lossCurves(rounds), ...metricCurves(rounds, known.report));
  showSteps();
  byId("member").hidden = !known.member;
  if (known.member) fill("member", ...memberCard(known.member, rounds, known.report));
  showRound();
}

function showRound() {
  const rounds = roundsOf(known.entries, membersOf(known.entries));
  const chosen = rounds[known.chosen - 1];
  byId("round").hidden = !chosen;
  if (!chosen) return;
  const made = chosen.finalised?.aggregateDigest ?? "";
  const details = {
    pictured: known.where?.pictures?.includes(chosen.round) ?? false,
    again: known.again.get(chosen.round) ?? null,
    lineage: lineage(lineageOf(made, rounds, known.entries), known.entries),
  };
  fill("round", ...roundCard(chosen, known.report, { again, hash }, details));
}

/** Only what is new: the button that was pressed keeps the focus. */
function showAgain() {
  const answer = known.again.get(known.chosen);
  const chosen = roundsOf(known.entries, membersOf(known.entries))[known.chosen - 1];
  fill("again", againTold(answer));
  fill("updates", updates(chosen, known.report, hash, answer.cosines));
}

/** @param {string} member */
function chooseMember(member) {
  known.member = member;
  showHistory();
  byId("member-title").focus();
}

/** @param {number} round */
function choose(round) {
  known.chosen = round;
  showHistory();
  byId("round-title").focus();
}

/** @param {number} round */
function again(round) {
  fill("again", "aggregating …");
  worker?.postMessage({ kind: "again", round });
}

/** @param {string} digest @param {HTMLElement} told where to say it */
async function hash(digest, told) {
  told.replaceChildren("hashing …");
  try {
    const { bundle, blobs } = /** @type {Where} */ (known.where);
    const stream = await (bundle ? await blobsOf(bundle, blobs) : blobsAt(blobs))(digest);
    const found = stream && (await received(stream, Infinity, HELD));
    told.className = found?.digest === digest ? "good" : "bad";
    const size = `${found?.size.toLocaleString("en")} bytes`;
    told.replaceChildren(found?.digest === digest ? `✓ ${size} with this digest` : found ? "✗ other bytes lie there" : "✗ the store does not have it");
  } catch (fault) {
    told.replaceChildren(shown(/** @type {Error} */ (fault).message));
  }
}

/** @param {File | undefined} file */
async function drop(file) {
  if (!file) return;
  if (await isBundle(file)) return follow(inBundle(file, known.where?.blobs ?? ""));
  if (await isNotes(file)) {
    byId("witnesses-title").focus();
    return witnesses.take([file]);
  }
  fill("dropped", `hashing ${file.name} …`);
  const { digest } = await received(file.stream(), Infinity, HELD);
  const meanings = meaningOf(digest, known.entries);
  const rounds = roundsOf(known.entries, membersOf(known.entries));
  const origin = lineage(lineageOf(digest, rounds, known.entries), known.entries);
  fill("dropped", element("span", { class: "digest" }, digest), element("br"), meanings.join(" ") || "Unknown to this history.");
  fill("origin", origin);
}

function listen() {
  const head = /** @type {HTMLInputElement} */ (byId("head"));
  head.addEventListener("input", () => fill("compared", placeOf(head.value, known.heads)));
  byId("compare").addEventListener("submit", (event) => event.preventDefault());
  const file = /** @type {HTMLInputElement} */ (byId("file"));
  file.addEventListener("change", () => drop(file.files?.[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop(event.dataTransfer?.files[0]);
  });
}

/** @param {number} [tries] how often one more is started whose files do not arrive @returns {Worker} which waits to be told where to look */
function started(tries = MOST_TRIES) {
  const fresh = new Worker("worker.js", { type: "module" });
  fresh.onmessage = ({ data }) => take(data);
  fresh.onerror = (fault) => {
    if (fault instanceof ErrorEvent) return take({ kind: "broken", message: fault.message });
    // A browser gives up what it is loading when its network changes. It has no words for it.
    if (!tries) return take({ kind: "incomplete" });
    worker = started(tries - 1);
    if (known.where) worker.postMessage({ kind: "start", where: known.where });
  };
  return fresh;
}

/** Show the history that is there, and forget any other. @param {Where} where */
function follow(where) {
  // One that has begun cannot begin again, and one that gave up does not answer.
  if (known.where || known.broken) {
    worker.terminate();
    worker = started();
  }
  Object.assign(known, nothing(), { where });
  for (const id of ["away", "changed", "member", "round"]) byId(id).hidden = true;
  witnesses.hear(null);
  blocks.hear(null);
  for (const id of ["now", "compared", "dropped", "origin"]) fill(id);
  showHistory();
  showWhere();
  worker.postMessage({ kind: "start", where });
}

async function start() {
  byId("unserved").hidden = true;
  listen();
  setInterval(showSeconds, 1000);
  try {
    const where = await whereToLook();
    witnesses.trust(where.witnesses);
    follow(where);
  } catch (fault) {
    const untold = "The page's server says neither which chain nor which contract. Drop a bundle here, or add ?rpc=…&store=…&chain_id=…&contract=…&task=…";
    known.broken = fault instanceof TypeError ? "The page's server does not answer. Load the page again." : untold;
    showVerdict();
  }
}

start();
