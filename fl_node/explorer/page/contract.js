/** Step A1: the code at the address is the committed contract, on the expected chain. */

import { Findings, STEPS } from "./findings.js";

/** @import { Report } from "./audit.js" */

/** keccak256 of the committed contract's code, as it lies on a chain. */
export const CODE_HASH = "c71a16cb8d9d72ba2063c8bc5d580359e67cb81d1255545ddfc2c0b5eac39e66";

/** @param {Report} report of a history for which A1 found nothing @returns {Report} */
export function atContract(report) {
  return { ...report, steps: { A1: "clean", ...report.steps } };
}

/** @param {string} message what A1 found; it ends the audit @returns {Report} */
export function notTheContract(message) {
  const findings = new Findings();
  findings.skip(STEPS, "A1 found that this is not the contract");
  return { steps: { A1: "findings", ...findings.steps() }, findings: [{ step: "A1", message }], reasons: findings.reasons(), rounds: [] };
}
