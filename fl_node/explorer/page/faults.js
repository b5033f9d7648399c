/** What can be wrong: with somebody's data, with a call of the contract, or with what this page can do. */

/** Somebody's bytes are not what they must be. `rule` is the word for it in the results. */
export class BadData extends Error {
  /**
   * @param {string} rule such as "malformed" or "norm_limit"
   * @param {string} message one line
   */
  constructor(rule, message) {
    super(message);
    this.rule = rule;
  }
}

/** The contract would have refused a call. */
export class CallRefused extends Error {
  /**
   * @param {string} error the contract's name for it, such as "DeadlinePassed"
   * @param {...(string | number | bigint)} values its arguments
   */
  constructor(error, ...values) {
    super(`${error}(${values.join(", ")})`);
    this.error = error;
  }
}

/** Nothing is wrong that this page could tell: it cannot check this, for the reason given. */
export class NotCheckedHere extends Error {}

/**
 * Say what a fault in somebody's data means where it was found.
 * @template T
 * @param {string} rule
 * @param {string} failing
 * @param {() => T} work
 * @returns {T}
 * @throws {BadData} with this rule
 */
export function because(rule, failing, work) {
  try {
    return work();
  } catch (fault) {
    if (!(fault instanceof BadData)) throw fault;
    throw new BadData(rule, `${failing}: ${fault.message}`);
  }
}
