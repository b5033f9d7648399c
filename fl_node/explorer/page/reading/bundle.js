/** A bundle: a task's history in one file, read as an endpoint and a store are (docs/protocol.md, "Bundle"). */

import { checksummed } from "../address.js";
import { CODE_HASH } from "../contract.js";
import { BadData, NotCheckedHere } from "../faults.js";
import { fromHex, same, toHex, utf8 } from "../hex.js";
import { canonical, parseCanonical } from "../json.js";
import { keccak256 } from "../keccak.js";
import { MOST_NOTES, readNotes } from "../witness/note.js";
import { blobsAt } from "./blobs.js";
import { MOST_EVENTS, readLogs } from "./events_json.js";
import { MOST_PROOF, readProof } from "./proof_json.js";
import { MOST_STATE, readState } from "./state_json.js";
import { bounded } from "./received.js";
import { openZip } from "./zip.js";

/** @import { Log } from "../events.js" */
/** @import { Site } from "../head.js" */
/** @import { Json } from "../json.js" */
/** @import { HeadProof } from "../proof/follow.js" */
/** @import { Fetch } from "../store.js" */
/** @import { TaskState } from "../task_state.js" */

/** @typedef {Fetch} Read gives a file by its name, as `Fetch` gives a blob */

const FORMAT = "ganchor-bundle-1";
const MOST_CODE = 2 ** 17;
const MOST_NAMES = 2 ** 25;
const MOST_BEGINNING = 64;

/** The log and the state in a bundle. It has the methods of an `Endpoint`; nothing comes later. */
export class Bundle {
  #code;
  #state;
  #logs;

  /** @param {Site} site whose history it claims to be @param {string} code in hex @param {TaskState} state @param {Log[]} logs */
  constructor(site, code, state, logs) {
    this.site = site;
    this.#code = code;
    this.#state = state;
    this.#logs = logs;
  }

  /** @throws {BadData} "contract": the writer found another one */
  async verifyContract() {
    if (!/^0x(?:[0-9a-f]{2})*$/.test(this.#code) || toHex(keccak256(fromHex(this.#code))) !== CODE_HASH) {
      throw new BadData("contract", "the bundle has other code than the committed contract's");
    }
  }

  /** @returns {Promise<bigint>} */
  async chainId() {
    return this.site.chainId;
  }

  /** @returns {Promise<{state: TaskState, block: number, now: number}>} the time is the last event's */
  async look() {
    const last = this.#logs.at(-1);
    return { state: this.#state, block: last?.block ?? 0, now: last?.timestamp ?? 0 };
  }

  /** @returns {Promise<Log[]>} the task's logs, oldest first */
  async logs() {
    return this.#logs;
  }
}

/**
 * @param {string | Blob} place the zip itself, or the URL of a folder, with a slash at its end, that holds its files
 * @param {string} elsewhere the URL of a store, for a bundle that only names its blobs; empty if there is none
 * @returns {Promise<{bundle: Bundle, fetch: Fetch, signed: Uint8Array[], proof: HeadProof | null}>} with the notes that witnesses
 *   are said to have signed, and what is said to prove that a block holds the head
 * @throws {BadData} it is not in the form of a bundle
 */
export async function openBundle(place, elsewhere) {
  const { read, names, named, fetch } = await filesOf(place, elsewhere);
  if (named) verifyNames(named, names);
  const held = (/** @type {string} */ name, /** @type {number} */ most) => content(read, name, most);
  const { site, state } = readState(await held("state.json", MOST_STATE));
  if (!same(await held("bundle.json", MOST_STATE), summary(site, state))) {
    throw new BadData("malformed", `bundle.json is not ${FORMAT}'s of this state.json`);
  }
  const code = new TextDecoder("utf-8", { ignoreBOM: true }).decode(await held("code.hex", MOST_CODE));
  const signed = await optional(read, "cosignatures.txt", MOST_NOTES);
  if (signed) readNotes(signed);
  const proof = await optional(read, "proof.json", MOST_PROOF);
  const logs = readLogs(await held("events.json", MOST_EVENTS));
  return {
    bundle: new Bundle(site, code, state, logs),
    fetch,
    signed: signed ? [signed] : [],
    proof: proof && readProof(proof),
  };
}

/** @param {string | Blob} place @param {string} elsewhere both as for `openBundle` @returns {Promise<Fetch>} its blobs alone */
export async function blobsOf(place, elsewhere) {
  return (await filesOf(place, elsewhere)).fetch;
}

/**
 * @param {Blob} file
 * @returns {Promise<boolean>} whether somebody may mean it for a bundle: the first file in it has one of a bundle's names
 */
export async function isBundle(file) {
  const beginning = new Uint8Array(await file.slice(0, MOST_BEGINNING).arrayBuffer());
  return /^PK\x03\x04.{26}(?:blobs|bundle)/s.test(String.fromCharCode(...beginning));
}

/**
 * @param {string | Blob} place
 * @param {string} elsewhere
 * @returns {Promise<{read: Read, names: string[], named: Uint8Array | null, fetch: Fetch}>} with the names that a zip has, and
 *   blobs.json
 */
async function filesOf(place, elsewhere) {
  const files = typeof place === "string" ? new Map() : await openZip(place);
  const read = typeof place === "string" ? blobsAt(place) : reading(files);
  const named = await optional(read, "blobs.json", MOST_NAMES);
  /** @type {Fetch} */
  const fetch = named ? beside(elsewhere) : (digest) => read(`blobs/${digest}`);
  return { read, names: [...files.keys()], named, fetch };
}

/** @param {ReadonlyMap<string, Blob>} files @returns {Read} */
function reading(files) {
  return async (name) => files.get(name)?.stream() ?? null;
}

/** @param {Read} read @param {string} name @param {number} most @returns {Promise<Uint8Array>} */
async function content(read, name, most) {
  const found = await optional(read, name, most);
  if (!found) throw new BadData("malformed", `not a bundle: it holds no ${name}`);
  return found;
}

/** @param {Read} read @param {string} name @param {number} most bytes @returns {Promise<Uint8Array | null>} */
async function optional(read, name, most) {
  const stream = await read(name);
  const found = stream && (await bounded(stream, most));
  if (found && found.length > most) throw new BadData("malformed", `${name} has more than ${most} bytes`);
  return found;
}

/** @param {Site} site @param {TaskState} state @returns {Uint8Array} bundle.json, which follows from the state */
function summary({ chainId, contract, task }, state) {
  return utf8(
    canonical({
      chain_id: chainId,
      contract: checksummed(contract),
      final_digest: `0x${state.parentDigest}`,
      format: FORMAT,
      head: `0x${state.historyHead}`,
      task,
    }),
  );
}

/** @param {Uint8Array} named blobs.json @param {readonly string[]} names of the bundle's files */
function verifyNames(named, names) {
  if (names.some((name) => name.startsWith("blobs/"))) throw new BadData("malformed", "it names its blobs, and holds some");
  const digests = parseCanonical(named);
  const ascends = (/** @type {Json} */ digest, /** @type {number} */ i, /** @type {Json[]} */ all) =>
    typeof digest === "string" && /^[0-9a-f]{64}$/.test(digest) && (i === 0 || /** @type {string} */ (all[i - 1]) < digest);
  if (!Array.isArray(digests) || !digests.every(ascends)) {
    throw new BadData("malformed", "blobs.json: expected a list of digests, ascending");
  }
}

/** @param {string} elsewhere @returns {Fetch} */
function beside(elsewhere) {
  if (elsewhere) return blobsAt(elsewhere);
  return async () => {
    throw new NotCheckedHere("this bundle names its blobs and holds none; `ganchor explore --bundle FILE --store URL` has both");
  };
}
