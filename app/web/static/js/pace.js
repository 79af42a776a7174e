// A page asks of a busy server less often: after each answer it rests for several times as long as that took.

export class Pace {
  /**
   * `least`: milliseconds between two questions of a server that answers at once; of others a rest is `rests` times as
   * long as the answer took, and `longest` at most.
   */
  constructor(least, { rests = 9, longest = 10_000 } = {}) {
    Object.assign(this, { least, rests, longest });
    this.until = 0;
  }

  /** What the question was answered; nothing is to be asked before `until`, by `performance.now()`. */
  async asking(question) {
    const began = performance.now();
    try {
      return await question();
    } finally {
      const ended = performance.now();
      this.until = ended + Math.min(Math.max(this.least, this.rests * (ended - began)), this.longest);
    }
  }
}
