// A page asks of a busy server less often: its questions of one kind take a tenth of the time at most.

const RESTS = 9; // times as long as the last answer took
const LONGEST = 10_000;

export class Pace {
  /** `least`: milliseconds between two questions of a server that answers at once. */
  constructor(least) {
    this.least = least;
    this.rest = least;
    this.until = 0;
  }

  /** What the question was answered; `rest` is then how long to wait, and `until` when that is over. */
  async asking(question) {
    const began = performance.now();
    try {
      return await question();
    } finally {
      const ended = performance.now();
      this.rest = Math.min(Math.max(this.least, RESTS * (ended - began)), LONGEST);
      this.until = ended + this.rest;
    }
  }
}
