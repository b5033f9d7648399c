// Answers questions about the page's modules, one JSON object a line: {"ask": NAME, "of": [...]}. A number that may be
// larger than 2^53 is text; bytes are hex.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { abreast } from "../../fl_node/explorer/page/abreast.js";
import { checksummed } from "../../fl_node/explorer/page/address.js";
import { ChainClock } from "../../fl_node/explorer/page/clock.js";
import { draw } from "../../fl_node/explorer/page/cohort.js";
import { readLog } from "../../fl_node/explorer/page/events.js";
import { Following } from "../../fl_node/explorer/page/following.js";
import { commitmentOf, headOf } from "../../fl_node/explorer/page/head.js";
import { fromHex, toHex } from "../../fl_node/explorer/page/hex.js";
import { keccak256 } from "../../fl_node/explorer/page/keccak.js";
import { decay } from "../../fl_node/explorer/page/combine/averages.js";
import { combining } from "../../fl_node/explorer/page/combine/combine.js";
import { gradientWeight } from "../../fl_node/explorer/page/combine/fednova.js";
import { decodeTensor, encodedTensor } from "../../fl_node/explorer/page/codecs/codecs.js";
import { decimal, fsum, nearest } from "../../fl_node/explorer/page/exact.js";
import { parseHeader, writtenHeader } from "../../fl_node/explorer/page/header.js";
import { canonical, parse, parseCanonical } from "../../fl_node/explorer/page/json.js";
import { parseManifest } from "../../fl_node/explorer/page/manifest.js";
import { norm } from "../../fl_node/explorer/page/norm.js";
import { heldByBlock } from "../../fl_node/explorer/page/proof/held.js";
import { isBundle, openBundle } from "../../fl_node/explorer/page/reading/bundle.js";
import { Patience } from "../../fl_node/explorer/page/patience.js";
import { readProof } from "../../fl_node/explorer/page/reading/proof_json.js";
import { received } from "../../fl_node/explorer/page/reading/received.js";
import { randomBytes } from "../../fl_node/explorer/page/pcg64.js";
import { matches } from "../../fl_node/explorer/page/patterns.js";
import { unseal } from "../../fl_node/explorer/page/sealed.js";
import { deriveSeed } from "../../fl_node/explorer/page/seeds.js";
import { Store } from "../../fl_node/explorer/page/store.js";
import { decodeTensors, encodeTensors } from "../../fl_node/explorer/page/tensors.js";
import { replay } from "../../fl_node/explorer/page/replay.js";
import { digestOf, hmac, Sha256 } from "../../fl_node/explorer/page/sha256.js";
import { cosignedIn } from "../../fl_node/explorer/page/witness/cosigned.js";
import { readVerifierKey } from "../../fl_node/explorer/page/witness/keys.js";
import { originOf, readNotes } from "../../fl_node/explorer/page/witness/note.js";

const site = (told) => ({
  chainId: BigInt(told.chain_id),
  contract: told.contract.toLowerCase(),
  task: BigInt(told.task),
});
const entries = (told, logs) => readLog(site(told).contract, site(told).task, logs);
const tensorsIn = (blob) => decodeTensors(fromHex(blob)).tensors;

const ANSWERS = {
  keccak256: (bytes) => toHex(keccak256(fromHex(bytes))),
  sha256(pieces) {
    const hash = new Sha256();
    for (const piece of pieces) hash.update(fromHex(piece));
    return toHex(hash.digest());
  },
  async received(pieces, most, held) {
    const { size, digest, bytes } = await received(new Blob(pieces.map(fromHex)).stream(), most, held);
    return [size, digest, bytes && toHex(bytes)];
  },
  digestOf: (size) => digestOf(Uint8Array.from({ length: size }, (_, i) => i)),
  // Pieces of work, each of which takes some turns of the event loop, or fails after them.
  async abreast(turns, failing, most) {
    let [running, atOnce, given, fault] = [0, 0, [], null];
    const work = async (piece) => {
      atOnce = Math.max(atOnce, ++running);
      for (let i = 0; i < turns[piece]; i++) await null;
      running--;
      if (failing.includes(piece)) throw piece;
      return piece;
    };
    try {
      for await (const piece of abreast(turns.keys(), work, most)) given.push(piece);
    } catch (piece) {
      fault = piece;
    }
    return { given, fault, atOnce };
  },
  json: (bytes) => toHex(new TextEncoder().encode(canonical(parseCanonical(fromHex(bytes))))),
  tensors(blob) {
    const { tensors, note } = decodeTensors(fromHex(blob));
    return toHex(encodeTensors(tensors, note));
  },
  header: (note) => writtenHeader(parseHeader(note)),
  seed: (root, ...labels) => deriveSeed(BigInt(root), ...labels).toString(),
  randomBytes: (seed, count) => toHex(randomBytes(BigInt(seed), count)),
  unseal: async (blob, salt) => toHex(await unseal(fromHex(blob), fromHex(salt))),
  matches,
  nearest: (text) => nearest(decimal(text)),
  fsum,
  norm: (blob) => String(norm(tensorsIn(blob))),
  decay: (halfLife, unit, steps) => decay({ halfLife: BigInt(halfLife), unit }, steps.map(BigInt)),
  gradientWeight(steps, momentum) {
    const { over, under } = gradientWeight(BigInt(steps), decimal(momentum));
    return [over.toString(), under.toString()];
  },
  codecs(stages, shape, seed, blob) {
    const [knobs, spec] = [parse(stages), { dtype: "F32", shape }];
    const tensors = tensorsIn(blob);
    const expected = encodedTensor(knobs, "w", spec);
    const fits = [...expected].every(([name, one]) => String(tensors.get(name)?.shape) === String(one.shape));
    if (!fits || tensors.size !== expected.size) return "another form";
    return toHex(decodeTensor(knobs, "w", spec, tensors, BigInt(seed)).bytes);
  },
  combine(manifest, parent, updates) {
    const combined = combining(parseManifest(fromHex(manifest)), tensorsIn(parent));
    for (const { blob, examples, steps } of updates) {
      combined.add({ tensors: tensorsIn(blob), header: { examples: BigInt(examples), steps: BigInt(steps) } });
    }
    return toHex(encodeTensors(combined.result()));
  },
  manifest: (blob) => parseManifest(fromHex(blob)).members,
  // The rule that each one breaks, or null.
  manifestFaults: (blobs) =>
    blobs.map((blob) => {
      try {
        parseManifest(fromHex(blob));
        return null;
      } catch (fault) {
        return fault.rule ?? fault.stack;
      }
    }),
  hmac: (key, message) => toHex(hmac(fromHex(key), fromHex(message))),
  notes: (bytes) =>
    readNotes(fromHex(bytes)).map(({ checkpoint, cosignatures }) => {
      const told = ({ name, id, time, signature }) => [name, id, time.toString(), toHex(signature)];
      return [checkpoint.origin, checkpoint.events, checkpoint.head, cosignatures.map(told)];
    }),
  verifierKey(line) {
    const { name, id, publicKey } = readVerifierKey(line);
    return [name, id, toHex(publicKey)];
  },
  async cosigned(told, heads, keys, notes) {
    const history = { origin: originOf(site(told)), heads };
    const { cosigned, findings } = await cosignedIn(keys.map(readVerifierKey), readNotes(fromHex(notes)), history);
    return { cosigned: cosigned.map((one) => ({ ...one, time: one.time.toString() })), findings };
  },
  // The same where the browser has no signatures, or others.
  async cosignedWith(subtle, ...rest) {
    const crypto = Object.getOwnPropertyDescriptor(globalThis, "crypto");
    Object.defineProperty(globalThis, "crypto", { value: { subtle }, configurable: true });
    try {
      return await ANSWERS.cosigned(...rest);
    } finally {
      Object.defineProperty(globalThis, "crypto", crypto);
    }
  },
  proof(bytes) {
    const { header, account, storage } = readProof(fromHex(bytes));
    return { header: toHex(header), account: account.map(toHex), storage: storage.map(toHex) };
  },
  // What a block proves, beside the last event's block and time; `null` is no event, and nobody's block is "".
  held({ header, account, storage }, { contract, task }, head, last, block) {
    const proof = { header: fromHex(header), account: account.map(fromHex), storage: storage.map(fromHex) };
    const claim = { proof, contract: contract.toLowerCase(), task: BigInt(task), head, last: last ?? undefined };
    const { proven, findings } = heldByBlock(claim, block);
    return { proven: proven && { ...proven, number: String(proven.number), time: String(proven.time) }, findings };
  },
  checksummed,
  draw: (seed, present, size) => draw(seed, BigInt(present), size).toString(),
  async bundle(path) {
    const { bundle } = await openBundle(new Blob([await readFile(path)]), "");
    const { site } = bundle;
    const read = readLog(site.contract, site.task, await bundle.logs());
    const { state } = await bundle.look();
    const head = headOf(site, read.map((entry) => entry.event));
    return { chain_id: String(site.chainId), contract: site.contract, task: String(site.task), head, said: state.historyHead };
  },
  // Step A1 of a bundle: null if nothing is wrong.
  async bundledContract(path) {
    const { bundle } = await openBundle(new Blob([await readFile(path)]), "");
    return bundle.verifyContract().then(() => null, (fault) => [fault.rule, fault.message]);
  },
  isBundle: async (path) => isBundle(new Blob([await readFile(path)])),
  async bundledBlob(path, digest) {
    const { fetch } = await openBundle(new Blob([await readFile(path)]), "");
    const blob = await new Store(fetch).get(digest, 1n << 24n);
    return toHex(blob);
  },
  head: (told, logs) => headOf(site(told), entries(told, logs).map((entry) => entry.event)),
  commitments: (told, logs) =>
    entries(told, logs)
      .map((entry) => entry.event)
      .filter((event) => event.name === "UpdateRevealed")
      .map(({ round, client, reveal }) => commitmentOf(site(told), round, client, reveal)),
  replay(told, logs) {
    const read = entries(told, logs);
    const divergence = replay(site(told), read);
    if (!divergence) return null;
    return divergence.recorded ? read.indexOf(divergence.recorded) : "the log ends too early";
  },
  clock(looks) {
    const clock = new ChainClock();
    return looks.map((look) => (clock.see(...look), clock.ahead));
  },
  // When a page looks at what the store does not have, by a clock of its own. The look number `found`, if any, finds it.
  patience(takes, found) {
    const [patience, looks] = [new Patience(), [0]];
    patience.looked(found === 1, takes);
    for (let now = takes; patience.isLeft(); now += 1000) {
      if (!patience.isOver(now)) continue;
      looks.push(now);
      now += takes;
      patience.looked(looks.length === found, now);
    }
    return looks;
  },
  // Look after look: what is new, and the report of all; a blob that is asked for is counted.
  async follow(told, looks, held) {
    let [blobs, logs, fetched] = [{}, [], []];
    const store = new Store(async (digest) => {
      fetched.push(digest);
      return digest in blobs ? new Blob([fromHex(blobs[digest])]).stream() : null;
    }, held);
    const source = { logs: async (first, last) => logs.filter(({ block }) => first <= block && block <= last) };
    const following = new Following(site(told), store, source, 0);
    const answers = [];
    for (const look of looks) {
      ({ blobs, logs } = look);
      fetched = [];
      const state = { historyHead: look.view.historyHead };
      const news = await following.readOn({ state, block: look.block }, look.insist);
      const { at, changed, heads } = news ?? {};
      const report = news && (await following.audit.report(look.view));
      const settled = following.audit.isSettled();
      answers.push({ news: news && { at, changed, heads, count: news.entries.length }, report, settled, fetched });
    }
    return answers;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, of } = JSON.parse(line);
  let answer;
  try {
    answer = { value: await ANSWERS[ask](...of) };
  } catch (fault) {
    answer = { fault: fault.rule ?? fault.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
