// Answers questions about the page's modules, one JSON object a line: {"ask": NAME, "of": [...]}. A number that may be
// larger than 2^53 is text; bytes are hex.
import { createInterface } from "node:readline";

import { checksummed } from "../../fl_node/explorer/page/address.js";
import { draw } from "../../fl_node/explorer/page/cohort.js";
import { readLog } from "../../fl_node/explorer/page/events.js";
import { commitmentOf, headOf } from "../../fl_node/explorer/page/head.js";
import { fromHex, toHex } from "../../fl_node/explorer/page/hex.js";
import { keccak256 } from "../../fl_node/explorer/page/keccak.js";
import { replay } from "../../fl_node/explorer/page/replay.js";
import { hmac, Sha256 } from "../../fl_node/explorer/page/sha256.js";

const site = (told) => ({
  chainId: BigInt(told.chain_id),
  contract: told.contract.toLowerCase(),
  task: BigInt(told.task),
});
const entries = (told, logs) => readLog(site(told).contract, site(told).task, logs);

const ANSWERS = {
  keccak256: (bytes) => toHex(keccak256(fromHex(bytes))),
  sha256(pieces) {
    const hash = new Sha256();
    for (const piece of pieces) hash.update(fromHex(piece));
    return toHex(hash.digest());
  },
  hmac: (key, message) => toHex(hmac(fromHex(key), fromHex(message))),
  checksummed,
  draw: (seed, present, size) => draw(seed, BigInt(present), size).toString(),
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
};

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, of } = JSON.parse(line);
  let answer;
  try {
    answer = { value: ANSWERS[ask](...of) };
  } catch (fault) {
    answer = { fault: fault.rule ?? fault.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
