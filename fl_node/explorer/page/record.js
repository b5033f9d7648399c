/** A task's log, read as rounds. */

/** @import { Entry, LedgerEvent } from "./events.js" */

/**
 * @typedef {object} RecordedRound one final round
 * @property {LedgerEvent} opened of the attempt that became final
 * @property {LedgerEvent[]} reveals of that attempt, in the order of the log
 * @property {LedgerEvent} finalised
 * @property {LedgerEvent[]} abandoned reveals of the earlier attempts
 */

/** @param {readonly Entry[]} entries oldest first @returns {RecordedRound[]} the rounds that the log has completely */
export function finalRounds(entries) {
  /** @type {RecordedRound[]} */
  const rounds = [];
  /** @type {LedgerEvent | null} */
  let opened = null;
  /** @type {LedgerEvent[]} */
  let reveals = [];
  /** @type {LedgerEvent[]} */
  let abandoned = [];
  for (const { event } of entries) {
    if (event.name === "RoundOpened") {
      opened = event;
      reveals = [];
    } else if (event.name === "UpdateRevealed") {
      reveals.push(event);
    } else if (event.name === "RoundAborted") {
      abandoned.push(...reveals);
      reveals = [];
    } else if (event.name === "RoundFinalised" && opened) {
      rounds.push({ opened, reveals, finalised: event, abandoned });
      [opened, reveals, abandoned] = [null, [], []];
    }
  }
  return rounds;
}

/** @param {readonly Entry[]} entries @returns {string[]} those that the first event opens the task with; else none */
export function membersOf(entries) {
  const first = entries[0]?.event;
  return first?.name === "TaskOpened" ? first.members : [];
}
