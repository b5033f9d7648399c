/** Reads and verifies a history beside the page: whatever takes its time happens here. */

import { aggregatedAgain, directions } from "./again.js";
import { atContract, notTheContract } from "./contract.js";
import { BadData, NotCheckedHere } from "./faults.js";
import { Following } from "./following.js";
import { MAX_MANIFEST } from "./manifest.js";
import { Patience } from "./patience.js";
import { blobsAt, StoreAway } from "./reading/blobs.js";
import { Bundle, openBundle } from "./reading/bundle.js";
import { Endpoint, NoAnswer } from "./reading/endpoint.js";
import { Store } from "./store.js";

/** @import { Progress } from "./audit.js" */
/** @import { Site } from "./head.js" */
/** @import { TaskState } from "./task_state.js" */

/**
 * @typedef {object} Where the history is
 * @property {string | Blob} [bundle] the file, or the URL of its folder; then the chain is not asked, and says not whose it is
 * @property {string} rpc
 * @property {string} blobs
 * @property {string} chainId
 * @property {string} contract
 * @property {number} firstBlock
 * @property {string} task
 * @property {number[]} [pictures]
 * @property {string[]} [witnesses] the keys of those that whoever started the server trusts
 */

const PAUSE = 2000;
const PATIENT_PAUSE = 5000;
const BETWEEN_TOLD = 200;
const FINISHED = 4;

/** @type {Store} */
let store;
/** @type {Following} */
let following;
/** The task's name, as far as its manifest was read. */
let name = "";
/** @type {Map<string, string>} what the page was told last, by kind */
const told = new Map();

self.onmessage = async ({ data }) => {
  if (data.kind === "again") {
    const { entries } = following.audit;
    const [answer, cosines] = [await aggregatedAgain(store, entries, data.round), await directions(store, entries, data.round)];
    return post({ kind: "again", round: data.round, ...answer, cosines });
  }
  /** @type {Where} */
  const where = data.where;
  if (where.bundle) return await opened(where.bundle, where.blobs);
  const site = { chainId: BigInt(where.chainId), contract: where.contract.toLowerCase(), task: BigInt(where.task) };
  const endpoint = new Endpoint(where.rpc, site.contract, site.task);
  store = new Store(blobsAt(where.blobs));
  following = new Following(site, store, endpoint, where.firstBlock);
  await follow(endpoint, site);
};

/** @param {string | Blob} place @param {string} elsewhere where the blobs are of a bundle that only names them */
async function opened(place, elsewhere) {
  try {
    const { bundle, fetch, signed, proof } = await openBundle(place, elsewhere);
    const { chainId, contract, task } = bundle.site;
    post({ kind: "whose", chainId: String(chainId), contract, task: String(task), signed, proof });
    store = new Store(fetch);
    following = new Following(bundle.site, store, bundle, 0);
    await follow(bundle, bundle.site);
  } catch (fault) {
    if (!(fault instanceof BadData || fault instanceof StoreAway)) throw fault;
    post({ kind: "broken", message: fault.message });
  }
}

/** @param {Record<string, unknown>} message */
function post(message) {
  self.postMessage(message);
}

/** Say nothing twice: what the page draws again loses its focus and its marks. @param {{kind: string} & Record<string, unknown>} message */
function postNews(message) {
  const words = JSON.stringify(message);
  if (told.get(message.kind) !== words) post(message);
  told.set(message.kind, words);
}

/**
 * Read on and verify whenever the history has grown, until it grows no more: the task is finished, or it is a bundle's. What
 * the store of a running or finished task did not give is looked for again, ever more rarely.
 *
 * @param {Endpoint | Bundle} source
 * @param {Site} site
 */
async function follow(source, site) {
  const bundled = source instanceof Bundle;
  /** The heads up to which the log was read, and verified; and the one that it did not give at the last look. */
  let [read, verified, doubted] = ["", "", ""];
  let isContract = false;
  let patience = new Patience();
  for (;;) {
    try {
      if (!isContract) {
        await verifyChain(source, site);
        await source.verifyContract();
        isContract = true;
      }
      const { state, block, now } = await source.look();
      const head = state.historyHead;
      post({ kind: "look", state, block, now });
      if (head !== read) {
        await verifyChain(source, site);
        const news = await following.readOn({ state: { historyHead: head }, block }, bundled || head === doubted);
        if (news) post({ kind: "log", ...news });
        [read, doubted] = news ? [head, ""] : [read, head];
      }
      const grown = head !== verified;
      if (head === read && (grown || patience.isOver(performance.now()))) {
        if (grown) patience = new Patience();
        await verify(state, grown);
        verified = head;
        patience.looked(following.audit.isSettled(), performance.now());
      }
      if (head === verified && (bundled || (state.phase === FINISHED && !patience.isLeft()))) return;
      await pause(PAUSE);
    } catch (fault) {
      if (fault instanceof BadData && fault.rule === "contract") return post({ kind: "report", report: notTheContract(fault.message) });
      if (!(fault instanceof NoAnswer || fault instanceof StoreAway)) {
        return post({ kind: "broken", message: /** @type {Error} */ (fault).message });
      }
      post({ kind: "away", message: fault.message });
      await pause(PATIENT_PAUSE);
    }
  }
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** @param {Endpoint | Bundle} source @param {Site} site @throws {BadData} "contract": it is another chain */
async function verifyChain(source, site) {
  const found = await source.chainId();
  if (found !== site.chainId) throw new BadData("contract", `the endpoint serves chain ${found}, expected ${site.chainId}`);
}

/** @param {TaskState} state @param {boolean} grown whether the log has; if not, the page hears only what is new */
async function verify(state, grown) {
  if (grown) told.clear(); // With another log the page has forgotten what it was told of the one before.
  if (grown || !name) {
    name = await nameOf(state);
    postNews({ kind: "manifest", name });
  }
  const view = /** @type {any} */ (state);
  const progress = unhurried((done, of) => post({ kind: "progress", done, of }));
  const report = await following.audit.report(view, grown ? progress : undefined);
  postNews({ kind: "report", report: atContract(report) });
}

/** @param {Progress} tell @returns {Progress} tells some: each lets the page draw, and be read aloud */
function unhurried(tell) {
  let told = 0;
  return (done, of) => {
    if (performance.now() - told < BETWEEN_TOLD && done < of) return;
    told = performance.now();
    tell(done, of);
  };
}

/** @param {TaskState} state @returns {Promise<string>} the task's name; empty if the manifest cannot be read */
async function nameOf(state) {
  try {
    const text = new TextDecoder().decode(await store.get(state.manifestDigest, MAX_MANIFEST));
    return String(JSON.parse(text).name ?? "");
  } catch (fault) {
    if (fault instanceof BadData || fault instanceof NotCheckedHere || fault instanceof SyntaxError) return "";
    throw fault;
  }
}
