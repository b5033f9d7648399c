/** Reads a task's log and state from a JSON-RPC endpoint, which is not trusted. */

import { decode, encode } from "../abi.js";
import { checksummed } from "../address.js";
import { CODE_HASH } from "../contract.js";
import { BadData } from "../faults.js";
import { fromHex, toHex, utf8 } from "../hex.js";
import { keccak256 } from "../keccak.js";
import { TASK_STATE } from "../task_state.js";
import { bounded } from "./received.js";

/** @import { Log } from "../events.js" */
/** @import { Stream } from "./received.js" */
/** @import { TaskState } from "../task_state.js" */

const MOST_BYTES = 64 << 20;
const FIRST_BLOCKS = 1000;
const MOST_BLOCKS = 10_000;
const MOST_LOGS = 1 << 20;
const TOGETHER = 50;
const MOST_SECONDS = 15;

const SELECTOR = toHex(keccak256(utf8("taskState(uint256)"))).slice(0, 8);

/** The endpoint gave no answer. */
export class NoAnswer extends Error {}

/** The endpoint refused; a smaller question may do. */
class Refused extends NoAnswer {}

/** A contract at an endpoint. */
export class Endpoint {
  /** @type {string} */
  #url;
  /** @type {string} */
  #contract;
  /** @type {bigint} */
  #task;
  #number = 0;

  /** @param {string} url @param {string} contract @param {bigint} task */
  constructor(url, contract, task) {
    this.#url = url;
    this.#contract = contract;
    this.#task = task;
  }

  /** @returns {Promise<bigint>} */
  async chainId() {
    return BigInt(await this.#ask("eth_chainId"));
  }

  /** @throws {BadData} "contract": there is none at the address, or another one */
  async verifyContract() {
    const code = fromHex(await this.#ask("eth_getCode", this.#contract, "latest"));
    const found = toHex(keccak256(code));
    const address = checksummed(this.#contract);
    if (!code.length) throw new BadData("contract", `there is no contract at ${address}`);
    if (found !== CODE_HASH) throw new BadData("contract", `other code at ${address}: keccak256 0x${found}, expected 0x${CODE_HASH}`);
  }

  /** @returns {Promise<{state: TaskState, block: number, now: number}>} the state in the newest block, and its time */
  async look() {
    const block = await this.#ask("eth_getBlockByNumber", "latest", false);
    const data = SELECTOR + toHex(encode([["task", "uint256"]], { task: this.#task }));
    const found = await this.#ask("eth_call", { to: this.#contract, data: `0x${data}` }, block.number);
    return { state: decode(TASK_STATE, fromHex(found)), block: Number(block.number), now: Number(block.timestamp) };
  }

  /**
   * @param {number} first block
   * @param {number} last block
   * @returns {Promise<Log[]>} the task's logs, oldest first
   */
  async logs(first, last) {
    /** @type {Log[]} */
    const logs = [];
    let count = FIRST_BLOCKS;
    while (first <= last) {
      const until = Math.min(first + count - 1, last);
      try {
        logs.push(...(await this.#range(first, until)));
      } catch (refusal) {
        if (!(refusal instanceof Refused) || until === first) throw refusal;
        count = Math.floor((until - first + 1) / 2);
        continue;
      }
      if (logs.length > MOST_LOGS) throw new BadData("log", `more than ${MOST_LOGS} logs`);
      first = until + 1;
      count = Math.min(2 * count, MOST_BLOCKS);
    }
    return logs;
  }

  /** @param {number} first @param {number} last @returns {Promise<Log[]>} */
  async #range(first, last) {
    const topics = [null, `0x${toHex(encode([["task", "uint256"]], { task: this.#task }))}`];
    const [fromBlock, toBlock] = [first, last].map((block) => `0x${block.toString(16)}`);
    const found = await this.#ask("eth_getLogs", { address: this.#contract, topics, fromBlock, toBlock });
    const times = await this.#times(found);
    return found.map((/** @type {any} */ log) => ({
      address: String(log.address),
      topics: log.topics.map(String),
      data: String(log.data),
      block: Number(log.blockNumber),
      logIndex: Number(log.logIndex),
      timestamp: Number(log.blockTimestamp ?? times.get(log.blockHash)),
    }));
  }

  /** @param {any[]} logs @returns {Promise<Map<string, string>>} the times of blocks that the logs do not tell, by hash */
  async #times(logs) {
    const hashes = [...new Set(logs.filter((log) => !log.blockTimestamp).map((log) => log.blockHash))];
    /** @type {Map<string, string>} */
    const times = new Map();
    for (let i = 0; i < hashes.length; i += TOGETHER) {
      const some = hashes.slice(i, i + TOGETHER);
      const blocks = await this.#askAll(some.map((hash) => ["eth_getBlockByHash", hash, false]));
      some.forEach((hash, j) => times.set(hash, blocks[j]?.timestamp));
    }
    return times;
  }

  /** @param {string} method @param {...unknown} params @returns {Promise<any>} */
  async #ask(method, ...params) {
    return (await this.#askAll([[method, ...params]]))[0];
  }

  /** @param {unknown[][]} calls each a method and its parameters @returns {Promise<any[]>} */
  async #askAll(calls) {
    const requests = calls.map(([method, ...params]) => ({ jsonrpc: "2.0", id: ++this.#number, method, params }));
    const answers = await this.#post(requests.length === 1 ? requests[0] : requests);
    const list = Array.isArray(answers) ? answers : [answers];
    return requests.map(({ id, method }) => {
      const answer = list.find((one) => one?.id === id);
      if (answer?.error) throw new Refused(`the endpoint refuses ${method}: ${String(answer.error.message).slice(0, 200)}`);
      if (answer?.result === undefined) throw new NoAnswer(`the endpoint does not answer ${method}`);
      if (answer.result === null) throw new NoAnswer(`the endpoint has nothing for ${method}`);
      return answer.result;
    });
  }

  /** @param {unknown} body @returns {Promise<unknown>} */
  async #post(body) {
    let response;
    try {
      const headers = { "Content-Type": "application/json" };
      const signal = AbortSignal.timeout(1000 * MOST_SECONDS);
      response = await fetch(this.#url, { method: "POST", headers, body: JSON.stringify(body), signal });
    } catch (fault) {
      if (/** @type {Error} */ (fault).name === "TimeoutError") {
        throw new Refused(`the endpoint has not answered for ${MOST_SECONDS} seconds: it is slow, or the chain stands still`);
      }
      throw new NoAnswer(
        "the endpoint does not answer this page: it is away, or it answers no web pages (CORS); `ganchor explore` asks for you",
      );
    }
    if (!response.ok) throw new NoAnswer(`the endpoint answers with HTTP status ${response.status}`);
    const bytes = await bounded(/** @type {Stream} */ (response.body), MOST_BYTES);
    try {
      return JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      throw new NoAnswer("the endpoint's answer is no JSON");
    }
  }
}
