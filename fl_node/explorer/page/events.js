/** The contract's events, from an endpoint's logs. */

import { decode, encode } from "./abi.js";
import { BadData } from "./faults.js";
import { concat, fromHex, same, toHex, utf8 } from "./hex.js";
import { keccak256 } from "./keccak.js";

/** @import { Field } from "./abi.js" */

/**
 * @typedef {object} Terms what is fixed when a task opens; seconds, basis points and counts
 * @property {number} rounds
 * @property {number} commitWindow
 * @property {number} revealWindow
 * @property {number} attestWindow
 * @property {number} cohortFraction
 * @property {number} cohortFloor
 * @property {number} minUpdates
 * @property {number} quorum
 */

/**
 * @typedef {object} Opening the opening of a commitment; losses in millionths
 * @property {string} updateDigest
 * @property {bigint} numExamples
 * @property {bigint} trainingLoss
 * @property {bigint} heldOutLoss
 * @property {string} salt
 */

/** @typedef {{name: string, task: bigint, [argument: string]: any}} LedgerEvent */

/**
 * @typedef {object} Log as an endpoint gives it, with the time of its block; bytes as hex behind 0x
 * @property {string} address
 * @property {string[]} topics
 * @property {string} data
 * @property {number} block
 * @property {number} logIndex
 * @property {number} timestamp
 */

/**
 * @typedef {object} Entry an event, and where and when the chain recorded it
 * @property {LedgerEvent} event
 * @property {number} block
 * @property {number} logIndex
 * @property {number} timestamp seconds since 1970
 */

/** @type {readonly (readonly [string, string])[]} */
export const TERMS = [
  ["rounds", "uint16"],
  ["commitWindow", "uint24"],
  ["revealWindow", "uint24"],
  ["attestWindow", "uint24"],
  ["cohortFraction", "uint16"],
  ["cohortFloor", "uint8"],
  ["minUpdates", "uint8"],
  ["quorum", "uint16"],
];

/** @type {readonly (readonly [string, string])[]} */
export const OPENING = [
  ["updateDigest", "bytes32"],
  ["numExamples", "uint64"],
  ["trainingLoss", "int64"],
  ["heldOutLoss", "int64"],
  ["salt", "bytes32"],
];

/** @type {Field} */
const ROUND = ["round", "uint16"];
/** @type {Field} */
const CLIENT = ["client", "address"];
/** @type {Field} */
const MEMBER = ["member", "address"];
/** @type {Field} */
const DEADLINE = ["deadline", "uint32"];
/** @type {Field} */
const AGGREGATE = ["aggregateDigest", "bytes32"];
/** @type {Field} */
const INCLUDED = ["included", "uint96"];

/**
 * The arguments of each event after `task`, in order of declaration.
 * @type {Readonly<Record<string, readonly Field[]>>}
 */
export const EVENTS = {
  TaskOpened: [
    ["coordinator", "address"],
    ["manifestDigest", "bytes32"],
    ["genesisDigest", "bytes32"],
    ["members", "address[]"],
    ["terms", TERMS],
  ],
  RoundOpened: [
    ROUND,
    ["attempt", "uint16"],
    ["parentDigest", "bytes32"],
    ["seed", "bytes32"],
    ["cohort", "uint96"],
    DEADLINE,
  ],
  UpdateCommitted: [ROUND, CLIENT, ["commitment", "bytes32"]],
  RoundSkipped: [ROUND, MEMBER],
  RevealOpened: [ROUND, ["committed", "uint96"], DEADLINE],
  UpdateRevealed: [ROUND, CLIENT, ["reveal", OPENING]],
  AttestOpened: [ROUND, ["revealed", "uint96"], ["attesters", "uint96"], DEADLINE],
  AggregateAttested: [ROUND, CLIENT, AGGREGATE, INCLUDED],
  MembersMissed: [ROUND, ["missed", "uint96"]],
  MemberRejoined: [MEMBER],
  AbsencesForgiven: [["forgiven", "uint96"]],
  RoundFinalised: [ROUND, AGGREGATE, INCLUDED],
  RoundAborted: [ROUND, ["attempt", "uint16"], ["phase", "uint8"]],
  TaskFinished: [["finalDigest", "bytes32"]],
};

/**
 * The first topic of each event's logs: the hash of its signature.
 * @type {Readonly<Record<string, string>>}
 */
export const TOPICS = Object.fromEntries(
  Object.entries(EVENTS).map(([name, fields]) => {
    const kinds = fields.map(([, kind]) => typeName(kind));
    return [name, toHex(keccak256(utf8(`${name}(${["uint256", ...kinds].join(",")})`)))];
  }),
);

const NAMES = new Map(Object.entries(TOPICS).map(([name, topic]) => [topic, name]));
const PHASES = 5;

/** @param {Field[1]} kind @returns {string} */
function typeName(kind) {
  return typeof kind === "string" ? kind : `(${kind.map(([, part]) => part).join(",")})`;
}

/**
 * Read a task's log.
 *
 * @param {string} contract address in lower case
 * @param {bigint} task
 * @param {readonly Log[]} logs oldest first; untrusted
 * @param {Entry} [last] the one that they follow
 * @returns {Entry[]}
 * @throws {BadData} "log": one of them is none of the task's, or does not stand after the one before it
 */
export function readLog(contract, task, logs, last) {
  return logs.map((log, i) => {
    const before = logs[i - 1] ?? last;
    if (before && (log.block - before.block || log.logIndex - before.logIndex) <= 0) {
      throw new BadData("log", `block ${log.block}, log ${log.logIndex} does not stand after the one before it`);
    }
    if (log.address.toLowerCase() !== contract) throw new BadData("log", `a log of ${log.address}`);
    const event = eventOf(log);
    if (event.task !== task) throw new BadData("log", `an event of task ${event.task}`);
    return { event, block: log.block, logIndex: log.logIndex, timestamp: log.timestamp };
  });
}

/** The leading arguments that are indexed: the round, and the address that acts. The task always is. */
const INDEXED = ["coordinator", "round", "client", "member"];

/**
 * Decode a log, in the one spelling that the contract gives it. The indexed arguments come first in each event.
 * @param {Pick<Log, "topics" | "data">} log
 * @returns {LedgerEvent}
 */
export function eventOf(log) {
  const [topic0, ...topics] = log.topics.map(fromHex);
  const name = topic0 && NAMES.get(toHex(topic0));
  if (!name) throw new BadData("log", "a log of an event that is not the contract's");
  /** @type {readonly Field[]} */
  const fields = [["task", "uint256"], ...EVENTS[name]];
  const plain = fields.findIndex(([argument], i) => i > 0 && !INDEXED.includes(argument));
  const indexed = plain < 0 ? fields.length : plain;
  if (topics.length !== indexed) throw new BadData("log", `a log of ${name} with ${topics.length} indexed arguments`);
  const data = fromHex(log.data);
  const values = { ...decode(fields.slice(0, indexed), concat(...topics)), ...decode(fields.slice(indexed), data) };
  if (values.phase >= PHASES) throw new BadData("log", `a phase that does not exist: ${values.phase}`);
  const again = [encode(fields.slice(0, indexed), values), encode(fields.slice(indexed), values)];
  if (!same(again[0], concat(...topics)) || !same(again[1], data)) {
    throw new BadData("log", `a log of ${name} in another spelling`);
  }
  return /** @type {LedgerEvent} */ ({ name, ...values });
}
