/** Lines that say what holds and what does not. */

import { element } from "./elements.js";

/** @import { Finding } from "../findings.js" */

/** From here on a year has five digits. */
const YEAR_10000 = 253402300800n;

/** @param {string} mood @param {string} words @returns {HTMLElement} */
export function line(mood, words) {
  return element("p", {}, element("span", { class: mood }, words));
}

/** @param {Finding} finding @returns {string} */
export function foundText({ message, expected, actual }) {
  return expected === undefined ? message : `${message}: expected ${expected}, got ${actual}`;
}

/** @param {bigint} seconds since 1970, at least 0 @returns {string} */
export function timeText(seconds) {
  if (seconds >= YEAR_10000) return `${seconds} s`;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
