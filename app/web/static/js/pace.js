// A page asks of a busy server less often: its questions of one kind take a tenth of the time, and rest ten seconds at most.

const RESTS = 9; // times as long as the last answer took
const LONGEST = 10_000;

export class Pace {
  /** `least`: milliseconds between two questions of a server that answers at once. */
  constructor(least) {
    this.least = least;
    this.until = 0;
  }

  /** What the question was answered; nothing is to be asked before `until`, by `performance.now()`. */
  async asking(question) {
    const began = performance.now();
    try {
      return await question();
    } finally {
      const ended = performance.now();
      this.until = ended + Math.min(Math.max(this.least, RESTS * (ended - began)), LONGEST);
    }
  }
}
