/** How long a page goes on looking for what a store does not have yet: a slow uplink may bring it minutes after its round. */

/** In milliseconds. Each pause is twice the one before, so all of them are eight and a half minutes. */
const FIRST = 2_000;
const LAST = 256_000;

/** The pauses between looks at a history that does not change. */
export class Patience {
  #pause = FIRST;
  #end = Infinity;

  /** @param {boolean} isSettled whether the look found everything @param {number} now in milliseconds, when it ended */
  looked(isSettled, now) {
    this.#end = isSettled || this.#pause > LAST ? Infinity : now + this.#pause;
    this.#pause *= 2;
  }

  /** @returns {boolean} whether there will be another look */
  isLeft() {
    return this.#end < Infinity;
  }

  /** @param {number} now in milliseconds @returns {boolean} whether it is time to look again */
  isOver(now) {
    return now >= this.#end;
  }
}
