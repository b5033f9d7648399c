/** What a value of a manifest may be. A check throws where it is something else. */

import { compare, decimal } from "./exact.js";
import { BadData } from "./faults.js";
import { isObject } from "./tensors.js";

/** @import { Json } from "./json.js" */

/** @callback Check @param {Json} value untrusted @param {string} field its name @returns {void} */

/** @param {string} field @param {string} why @returns {never} */
export function refuse(field, why) {
  throw new BadData("malformed", `not a manifest: ${field}: ${why}`);
}

/** @param {Readonly<Record<string, Check>>} fields all of them, and no others @returns {Check} */
export function section(fields) {
  return (value, field) => {
    if (!isObject(value)) return refuse(field, "expected an object");
    for (const name of Object.keys(value)) if (!(name in fields)) refuse(`${field}.${name}`, "unknown field");
    for (const name of Object.keys(fields)) {
      if (!(name in value)) refuse(`${field}.${name}`, "missing");
      fields[name](value[name], `${field}.${name}`);
    }
  };
}

/** @param {Readonly<Record<string, Readonly<Record<string, Check>>>>} kinds and the knobs of each @returns {Check} */
export function choice(kinds) {
  return (value, field) => {
    const kind = isObject(value) ? value.kind : null;
    if (typeof kind !== "string" || !Object.hasOwn(kinds, kind)) return refuse(field, "no known kind");
    section({ kind: oneOf(kind), ...kinds[kind] })(value, field);
  };
}

/** @param {...Json} values @returns {Check} */
export function oneOf(...values) {
  return (value, field) => {
    if (!values.includes(value)) refuse(field, `expected one of ${values.join(", ")}`);
  };
}

/** @param {number | bigint} least @param {number | bigint} most @returns {Check} */
export function integer(least, most) {
  return (value, field) => {
    if (typeof value !== "bigint" || value < BigInt(least) || value > BigInt(most)) {
      refuse(field, `expected an integer from ${least} to ${most}`);
    }
  };
}

/**
 * @param {{above?: string, least?: string, most?: string, below?: string}} range bounds as decimals
 * @param {number} [places] the most digits behind the point
 * @returns {Check}
 */
export function number(range, places = 18) {
  return (value, field) => {
    const ratio = decimal(value);
    if (!ratio) return refuse(field, "expected an exact decimal");
    const [whole, fraction = ""] = String(value).replace("-", "").split(".");
    if (fraction.length > places || whole.length > 10) return refuse(field, "too many digits");
    const against = (/** @type {string} */ bound) => compare(ratio, /** @type {import("./exact.js").Ratio} */ (decimal(bound)));
    const { above, least, most, below } = range;
    const fits =
      (above === undefined || against(above) > 0) &&
      (least === undefined || against(least) >= 0) &&
      (most === undefined || against(most) <= 0) &&
      (below === undefined || against(below) < 0);
    if (!fits) refuse(field, "out of range");
  };
}

/** @param {RegExp} pattern @param {number} [most] characters @returns {Check} */
export function text(pattern, most = 1000) {
  return (value, field) => {
    if (typeof value !== "string" || [...value].length > most || !pattern.test(value)) refuse(field, "not such a text");
  };
}

/** @param {Check} item @param {number} [least] @param {number} [most] @returns {Check} */
export function list(item, least = 0, most = Infinity) {
  return (value, field) => {
    if (!Array.isArray(value) || value.length < least || value.length > most) {
      return refuse(field, `expected a list of ${least} to ${most}`);
    }
    value.forEach((one, i) => item(one, `${field}.${i}`));
  };
}

/** @param {...Check} checks @returns {Check} at least one of them */
export function either(...checks) {
  return (value, field) => {
    const fits = (/** @type {Check} */ check) => {
      try {
        check(value, field);
        return true;
      } catch (fault) {
        if (fault instanceof BadData) return false;
        throw fault;
      }
    };
    if (!checks.some(fits)) refuse(field, "none of what is allowed");
  };
}

export const any = text(/^[^]*$/);
export const bool = oneOf(true, false);
export const digest = text(/^[0-9a-f]{64}$/);

const ROUNDS = 65_535;

/** @param {Check} value @returns {Check} a number, or one for each round */
export function overRounds(value) {
  const ramp = section({ from: value, kind: oneOf("cosine", "linear"), over: integer(2, ROUNDS), to: value });
  return (given, field) => {
    if (isObject(given)) return ramp(given, field);
    if (!Array.isArray(given)) return value(given, field);
    let last = 0n;
    for (const pair of given) {
      if (!Array.isArray(pair) || pair.length !== 2) return refuse(field, "expected pairs of round and value");
      const [round, one] = pair;
      integer(last + 1n, ROUNDS)(round, field);
      if (last === 0n && round !== 1n) refuse(field, "a schedule begins with round 1");
      last = /** @type {bigint} */ (round);
      value(one, field);
    }
    if (last === 0n) refuse(field, "an empty schedule");
  };
}
