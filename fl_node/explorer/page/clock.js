/** The chain's clock, by which deadlines are judged, as far as its blocks show it. */

/** How far the chain's clock is ahead of this machine's. */
export class ChainClock {
  /** Seconds; negative if it is behind. */
  ahead = 0;
  #block = -1;

  /**
   * Take note of the newest block. One that came since the last look tells the chain's time. The first one may be old: it
   * tells only that the chain's clock is not behind it.
   *
   * @param {number} block
   * @param {number} time of the block
   * @param {number} now this machine's time, in seconds
   */
  see(block, time, now) {
    if (this.#block < 0) this.ahead = Math.max(time - now, 0);
    else if (block > this.#block) this.ahead = time - now;
    this.#block = block;
  }
}
