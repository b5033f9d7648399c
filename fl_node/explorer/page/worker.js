/** Reads and verifies a history beside the page: whatever takes its time happens here. */

import { aggregatedAgain, directions } from "./again.js";
import { audit } from "./audit.js";
import { readLog } from "./events.js";
import { BadData, NotCheckedHere } from "./faults.js";
import { firstHead, fold } from "./head.js";
import { MAX_MANIFEST } from "./manifest.js";
import { blobsAt, StoreAway } from "./reading/blobs.js";
import { Bundle, openBundle } from "./reading/bundle.js";
import { Endpoint, NoAnswer } from "./reading/endpoint.js";
import { Store } from "./store.js";

/** @import { Entry } from "./events.js" */
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
 */

const PAUSE = 2000;
const PATIENT_PAUSE = 5000;

/** @type {Where} */
let where;
/** @type {Site} */
let site;
/** @type {Store} */
let store;
/** @type {Entry[]} */
let entries = [];

self.onmessage = async ({ data }) => {
  if (data.kind === "again") {
    const [answer, cosines] = [await aggregatedAgain(store, entries, data.round), await directions(store, entries, data.round)];
    return post({ kind: "again", round: data.round, ...answer, cosines });
  }
  where = data.where;
  if (where.bundle) return await opened(where.bundle);
  site = { chainId: BigInt(where.chainId), contract: where.contract.toLowerCase(), task: BigInt(where.task) };
  store = new Store(blobsAt(where.blobs));
  await follow(new Endpoint(where.rpc, site.contract, site.task));
};

/** @param {string | Blob} place */
async function opened(place) {
  try {
    const { bundle, fetch } = await openBundle(place, where.blobs);
    [site, store] = [bundle.site, new Store(fetch)];
    post({ kind: "whose", chainId: String(site.chainId), contract: site.contract, task: String(site.task) });
    await follow(bundle);
  } catch (fault) {
    if (!(fault instanceof BadData || fault instanceof StoreAway)) throw fault;
    post({ kind: "broken", message: fault.message });
  }
}

/** @param {Record<string, unknown>} message */
function post(message) {
  self.postMessage(message);
}

/** Read and verify whenever the history has grown, until the task is finished. @param {Endpoint | Bundle} endpoint */
async function follow(endpoint) {
  let seen = "";
  for (;;) {
    try {
      const look = await endpoint.look();
      post({ kind: "look", ...look });
      if (look.state.historyHead !== seen) {
        await verify(endpoint, look.state, look.block);
        seen = look.state.historyHead;
      }
      if (look.state.phase === 4 || endpoint instanceof Bundle) return;
      await pause(PAUSE);
    } catch (fault) {
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

/** @param {Endpoint | Bundle} endpoint @param {TaskState} state @param {number} block */
async function verify(endpoint, state, block) {
  if ((await endpoint.chainId()) !== site.chainId) {
    throw new BadData("log", `the endpoint serves another chain than ${site.chainId}`);
  }
  entries = readLog(site.contract, site.task, await endpoint.logs(where.firstBlock, block));
  post({ kind: "log", entries, heads: headsOf() });
  post({ kind: "manifest", name: await nameOf(state) });
  const view = /** @type {any} */ (state);
  const began = performance.now();
  const report = await audit(site, entries, view, store, (done, of) => post({ kind: "progress", done, of }));
  post({ kind: "report", report, seconds: (performance.now() - began) / 1000 });
}

/** @returns {string[]} the head after each event; the first one is that before any */
function headsOf() {
  const heads = [firstHead(site)];
  for (const { event } of entries) heads.push(fold(heads[heads.length - 1], event));
  return heads;
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
