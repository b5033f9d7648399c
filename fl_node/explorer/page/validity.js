/** Which of a round's revealed updates count: the rules of docs/protocol.md, in their order. */

import { abreast } from "./abreast.js";
import { checksummed } from "./address.js";
import { compare, ratioOf } from "./exact.js";
import { BadData } from "./faults.js";
import { decodeUpdate, encodedForm, formOf } from "./form.js";
import { expectedHeader, parseHeader, writtenHeader } from "./header.js";
import { fromHex } from "./hex.js";
import { norm } from "./norm.js";
import { MAGIC, unseal } from "./sealed.js";
import { deriveSeed } from "./seeds.js";
import { digestOf } from "./sha256.js";
import { decodeTensors, floatsOf, sizeOf } from "./tensors.js";

/** @import { LedgerEvent } from "./events.js" */
/** @import { Form } from "./form.js" */
/** @import { UpdateHeader } from "./header.js" */
/** @import { Manifest } from "./manifest.js" */
/** @import { Store } from "./store.js" */
/** @import { Tensor, Tensors } from "./tensors.js" */

/** @typedef {{client: string, header: UpdateHeader, tensors: Map<string, Tensor>}} Update decoded */
/** @typedef {{steps: bigint, header: UpdateHeader, content: string, bytes: number, norm: number}} Valid what is kept of one */
/** @typedef {Valid | BadData} Verdict */

/** How many updates are read at a time: what a browser asks one server for, and no more than these bytes of models. */
const MOST_ABREAST = 6;
const BYTES_ABREAST = 2n ** 26n;

/** The verdict on each update that a round's attempts revealed. */
export class Verdicts {
  #form;
  #abreast;
  /** @type {Map<LedgerEvent, Verdict>} */
  #given = new Map();

  /**
   * @param {Store} store
   * @param {Manifest} manifest
   * @param {string} parentDigest
   * @param {Tensors} parent any state of the task
   */
  constructor(store, manifest, parentDigest, parent) {
    this.store = store;
    this.manifest = manifest;
    this.parentDigest = parentDigest;
    this.#form = formOf(manifest, parent);
    this.#abreast = Math.max(1, Math.min(MOST_ABREAST, Number(BYTES_ABREAST / sizeOf(parent, null))));
  }

  /** @param {LedgerEvent} revealed @returns {Verdict} of an update that was judged */
  of(revealed) {
    return /** @type {Verdict} */ (this.#given.get(revealed));
  }

  /** @param {readonly LedgerEvent[]} reveals @returns {AsyncGenerator<Update | null>} as `judge` gives them, one after the other */
  judged(reveals) {
    return abreast(reveals, (revealed) => this.judge(revealed), this.#abreast);
  }

  /** @param {LedgerEvent} revealed @returns {Promise<Update | null>} the update, if it keeps every rule but `repeat` */
  async judge(revealed) {
    try {
      const { update, content, bytes, norm } = await this.#read(revealed);
      const { header } = update;
      this.#given.set(revealed, { steps: header.steps, header, content, bytes, norm });
      return update;
    } catch (fault) {
      if (!(fault instanceof BadData)) throw fault;
      this.#given.set(revealed, fault);
      return null;
    }
  }

  /** @param {LedgerEvent} revealed a valid one @returns {Promise<Update>} */
  async readAgain(revealed) {
    return (await this.#read(revealed)).update;
  }

  /**
   * @param {readonly LedgerEvent[]} reveals all that were judged, in the order of the log
   * @returns {Map<LedgerEvent, BadData>} valid ones with the content of an earlier one of another client
   */
  repeats(reveals) {
    /** @type {Map<string, string>} */
    const authors = new Map();
    /** @type {Map<LedgerEvent, BadData>} */
    const repeats = new Map();
    for (const revealed of reveals) {
      const verdict = this.of(revealed);
      if (verdict instanceof BadData) continue;
      const author = authors.get(verdict.content) ?? revealed.client;
      authors.set(verdict.content, author);
      if (author !== revealed.client) repeats.set(revealed, new BadData("repeat", `the content of ${author}`));
    }
    return repeats;
  }

  /** @param {LedgerEvent} revealed */
  async #read(revealed) {
    const { manifest } = this;
    if (!manifest.members.includes(revealed.client)) throw new BadData("member", "no member of the manifest");
    const expected = this.#expected(revealed);
    const stored = await this.store.get(revealed.reveal.updateDigest, this.#largest(expected));
    const blob = await unseal(stored, fromHex(revealed.reveal.salt));
    const { tensors, note, start } = decodeTensors(blob);
    if (note === null) throw new BadData("malformed", "an update without metadata");
    const header = parseHeader(note);
    const content = digestOf(blob.subarray(start));
    const verified = this.#verified(header, expected, tensors);
    const update = { client: revealed.client, header, tensors: verified.tensors };
    return { update, content: await content, bytes: stored.length, norm: verified.norm };
  }

  /** @param {LedgerEvent} revealed @returns {UpdateHeader} */
  #expected(revealed) {
    const { task, round, client } = revealed;
    const { manifest } = this;
    const seed = deriveSeed(manifest.seed, "encode", round, checksummed(client));
    const codec = manifest.stages.map((stage) => stage.kind).join("+") || "float32";
    const { metrics, requires } = manifest;
    const given = { steps: manifest.limits.steps, codec, seed, metrics, requires };
    return expectedHeader({ task, round, client, examples: revealed.reveal.numExamples }, this.parentDigest, given);
  }

  /** @param {UpdateHeader} expected @returns {bigint} the most bytes that the update may have in the store */
  #largest(expected) {
    const note = writtenHeader(expected);
    const { stages, limits } = this.manifest;
    let most = sizeOf(encodedForm(this.#form, stages), note);
    if (this.#form.published.size) {
      const apart = encodedForm({ ...this.#form, published: new Map() }, stages);
      const bounded = sizeOf(apart, note) + limits.modelBytes;
      if (bounded < most) most = bounded;
    }
    return most + BigInt(MAGIC.length);
  }

  /**
   * @param {UpdateHeader} header
   * @param {UpdateHeader} expected
   * @param {Tensors} tensors
   * @returns {{tensors: Map<string, Tensor>, norm: number}} decoded
   */
  #verified(header, expected, tensors) {
    const { limits, stages } = this.manifest;
    verifyHeader(header, expected);
    if (header.steps < 1n || header.steps > limits.steps) throw new BadData("steps_limit", `${header.steps} steps`);
    if (expected.examples < 1n || expected.examples > limits.examples) {
      throw new BadData("examples_limit", `${expected.examples} examples`);
    }
    const decoded = decodeUpdate(this.#form, stages, tensors, expected.seed);
    const published = [...decoded].filter(([name]) => this.#form.published.has(name));
    for (const [name, tensor] of published) {
      if (!floatsOf(tensor).every(Number.isFinite)) throw new BadData("finite", `an element of ${name}`);
    }
    const moved = new Map([...decoded].filter(([name]) => !this.#form.published.has(name)));
    const size = norm(moved);
    if (!Number.isFinite(size)) throw new BadData("finite", "the norm is not finite");
    if (compare(ratioOf(size), limits.updateNorm) > 0) throw new BadData("norm_limit", `a norm of ${size}`);
    return { tensors: decoded, norm: size };
  }
}

/** The fields of a header that must be what is expected, each with the rule that it breaks. */
const COMPARED = /** @type {const} */ ([
  ["task", "task"],
  ["round", "round"],
  ["client", "client"],
  ["parent", "parent_digest"],
  ["examples", "num_examples"],
  ["codec", "codec"],
  ["seed", "seed"],
]);

/** @param {UpdateHeader} header @param {UpdateHeader} expected */
function verifyHeader(header, expected) {
  for (const [field, rule] of COMPARED) {
    if (header[field] !== expected[field]) {
      throw new BadData(rule, `expected ${expected[field]}, the update says ${header[field]}`);
    }
  }
  for (const field of /** @type {const} */ (["metrics", "versions"])) {
    const [stated, names] = [header, expected].map((one) => Object.keys(one[field]).sort().join(", "));
    if (stated !== names) throw new BadData(field, `expected the names ${names}, the update has ${stated}`);
  }
}
