// Round trips through an echo: a text that was never sent before goes out, and the time until the same text comes back counts.

// An echo that takes longer than this is lost.
const PATIENCE_MS = 5_000;

/** Measures on one socket; whoever receives its messages asks `take` about each of them first. */
export class Pinger {
  #awaited = null;
  #arrived = () => {};
  #stopped = false;

  /** Is this text the awaited probe? Then it is no message to anybody else. */
  take(text) {
    if (text !== this.#awaited) return false;
    this.#awaited = null;
    this.#arrived(performance.now());
    return true;
  }

  stop() {
    this.#stopped = true;
    this.#arrived(null);
  }

  /**
   * Sends `count` probes, one after the other, `interval` ms apart.
   * `report(number, ms)` is told each result, ms null for a lost one. Resolves to the times in ms and the number sent.
   */
  async run({ socket, count, interval, report }) {
    const run = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const times = [];
    let sent = 0;
    while (sent < count && !this.#stopped && socket.readyState === WebSocket.OPEN) {
      sent += 1;
      const ms = await this.#probe(socket, `rupor-ping ${run} ${sent}`);
      if (this.#stopped && ms === null) {
        sent -= 1;
        break;
      }
      if (ms !== null) times.push(ms);
      report(sent, ms);
      if (sent < count && interval > 0) await this.#pause(interval);
    }
    return { sent, times };
  }

  #probe(socket, text) {
    return new Promise((resolve) => {
      const patience = setTimeout(() => this.#arrived(null), PATIENCE_MS);
      this.#awaited = text;
      const start = performance.now();
      this.#arrived = (end) => {
        clearTimeout(patience);
        this.#arrived = () => {};
        this.#awaited = null;
        resolve(end === null ? null : end - start);
      };
      socket.send(text);
    });
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#arrived = () => {
        clearTimeout(timer);
        this.#arrived = () => {};
        resolve();
      };
    });
  }
}

/** Least, mean and greatest of some times. */
export function summary({ sent, times }) {
  if (times.length === 0) return `${sent} sent, none came back: is the other end an echo?`;
  const sum = times.reduce((total, time) => total + time, 0);
  const back = times.length === sent ? `${sent} round trips` : `${times.length} of ${sent} came back`;
  return `${back}: min ${ms(Math.min(...times))}, avg ${ms(sum / times.length)}, max ${ms(Math.max(...times))} ms`;
}

/** Milliseconds to the hundredth. */
export function ms(time) {
  return time.toFixed(2);
}
