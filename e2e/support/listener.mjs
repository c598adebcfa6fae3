// A browser's side of a connection, played by the `ws` package: what came is kept in order and
// waited for with a deadline.

import { WebSocket } from 'ws';

import { DEADLINE_MS, inTime } from './program.mjs';

export class Listener {
  #waiting = [];

  /** Opens a connection that is ended with the test; rejects when it is refused. */
  static async open(t, url, subprotocols = [], options = {}) {
    const listener = new Listener(new WebSocket(url, subprotocols, { perMessageDeflate: false, ...options }));
    t.after(() => listener.ws.terminate());
    await inTime(
      new Promise((resolve, reject) => {
        listener.ws.on('open', resolve).on('error', reject);
      }),
      `opening ${url}`,
    );
    return listener;
  }

  constructor(ws) {
    this.ws = ws;
    this.received = [];
    this.closed = new Promise((resolve) => {
      ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    ws.on('error', () => {}); // the test that cares looks at closed
    ws.on('message', (payload, binary) => {
      this.received.push(binary ? payload : payload.toString());
      this.#waiting = this.#waiting.filter(({ count, resolve }) => {
        if (this.received.length < count) return true;
        resolve();
        return false;
      });
    });
  }

  /** Waits until so many messages came; resolves to all that came so far. */
  async messages(count) {
    if (this.received.length < count) {
      await inTime(
        new Promise((resolve) => this.#waiting.push({ count, resolve })),
        `${count} messages, got ${this.received.length}: ${JSON.stringify(this.received.slice(-5))}`,
      );
    }
    return this.received;
  }
}

/** The HTTP status, headers and text with which an upgrade was refused; rejects if it was not. */
export function refusal(t, url, subprotocols = [], options = {}) {
  const ws = new WebSocket(url, subprotocols, { perMessageDeflate: false, handshakeTimeout: DEADLINE_MS, ...options });
  t.after(() => ws.terminate());
  return new Promise((resolve, reject) => {
    ws.on('open', () => reject(new Error(`${url} was accepted`)));
    ws.on('error', reject);
    ws.on('unexpected-response', (request, response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
  });
}

/** A browser that opened this path of the program. */
export const open = (t, rupor, target = '/', options = {}) => Listener.open(t, `ws://${rupor.browsers}${target}`, [], options);

/** Sends, and waits for the one answer. */
export async function ask(listener, message) {
  const before = listener.received.length;
  listener.ws.send(message);
  return (await listener.messages(before + 1))[before];
}
