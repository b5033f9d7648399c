/** What a block proves about the history: parts of steps A1 and A2 (docs/protocol.md, "What a bundle proves"). */

import { CODE_HASH } from "../contract.js";
import { BadData } from "../faults.js";
import { follow } from "./follow.js";

/** @import { Entry } from "../events.js" */
/** @import { Finding } from "../findings.js" */
/** @import { HeadProof, Proven } from "./follow.js" */

/**
 * @typedef {object} Claim that a block holds the history head
 * @property {HeadProof} proof nothing in it is believed
 * @property {string} contract
 * @property {bigint} task
 * @property {string} head that the state shows
 * @property {Entry | undefined} last of the log
 */

/**
 * @param {Claim} claim
 * @param {string} block the hash of a block that somebody trusts; empty if they trust none
 * @returns {{proven: Proven | null, findings: Finding[]}} the block that holds the head, or why none does
 */
export function heldByBlock(claim, block) {
  try {
    const proven = follow(claim.proof, claim.contract, claim.task);
    const findings = [...compared(claim, proven, block), ...timesCompared(claim.last, proven)];
    return { proven: findings.length ? null : proven, findings };
  } catch (fault) {
    if (!(fault instanceof BadData)) throw fault;
    return { proven: null, findings: [{ step: "A2", message: fault.message }] };
  }
}

/** @param {Claim} claim @param {Proven} proven @param {string} block @returns {Finding[]} */
function compared({ head }, proven, block) {
  /** @type {Finding[]} */
  const findings = [];
  if (proven.code !== CODE_HASH) {
    const message = "in the block that the proof is of, other code lies at the contract's address";
    findings.push({ step: "A1", message, expected: `keccak256 ${CODE_HASH}`, actual: `keccak256 ${proven.code}` });
  }
  if (proven.head !== head) {
    const message = "the block that the proof is of holds another history head";
    findings.push({ step: "A2", message, expected: proven.head, actual: head });
  }
  if (block && block !== proven.block) {
    const message = "the proof is of another block than the expected one";
    findings.push({ step: "A2", message, expected: block, actual: proven.block });
  }
  return findings;
}

/** A block holds nothing that happened after it. @param {Entry | undefined} last @param {Proven} proven @returns {Finding[]} */
function timesCompared(last, { number, time }) {
  if (!last || (last.block <= number && last.timestamp <= time)) return [];
  const message = "the last event is said to have happened after the block that the proof is of";
  const [expected, actual] = [`at most block ${number}, time ${time}`, `block ${last.block}, time ${last.timestamp}`];
  return [{ step: "A2", message, expected, actual }];
}
