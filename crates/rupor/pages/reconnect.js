// A WebSocket that comes back.

import { reconnects } from "/assets/close-codes.js";

const FIRST_DELAY_MS = 500;
const DELAY_MAX_MS = 30_000;
// A connection that lived this long was a good one: the next loss starts from the first delay again.
const GOOD_AFTER_MS = 5_000;

/**
 * Keeps one connection to `url` open until `end()`.
 *
 * After a loss it waits a random part of a delay that doubles up to 30 s: a thousand pages that lost their server at the same
 * moment must not come back at the same moment.
 *
 * `on.state(name, detail)` is called with "connecting", "open", "waiting" (detail: ms until the next try), "refused"
 * (detail: the CloseEvent; no further try) and "ended"; `on.message(text)` with each text message.
 */
export class ReconnectingSocket {
  #url;
  #on;
  #socket = null;
  #tries = 0;
  #timer = 0;
  #ended = false;

  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    // The network is back: no reason to sit out the delay.
    window.addEventListener("online", this.retryNow);
    this.#connect();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends text; false when there is no connection now. Nothing is kept for later. */
  send(text) {
    if (!this.isOpen) return false;
    this.#socket.send(text);
    return true;
  }

  /** Tries at once if it is waiting. */
  retryNow = () => {
    if (this.#timer === 0) return;
    this.#connect();
  };

  /** Closes for good. */
  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#timer = 0;
    window.removeEventListener("online", this.retryNow);
    this.#socket?.close(1000);
    this.#on.state("ended");
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#on.state("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    let openedAt = 0;
    socket.onopen = () => {
      if (this.#ended) return;
      openedAt = performance.now();
      this.#on.state("open");
    };
    socket.onmessage = (event) => {
      if (!this.#ended && typeof event.data === "string") this.#on.message(event.data);
    };
    socket.onclose = (event) => {
      if (this.#ended) return;
      if (openedAt > 0 && performance.now() - openedAt >= GOOD_AFTER_MS) this.#tries = 0;
      if (reconnects(event.code)) this.#wait();
      else this.#on.state("refused", event);
    };
  }

  #wait() {
    const delay = Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** this.#tries);
    this.#tries += 1;
    const jittered = Math.round(delay * (0.5 + Math.random() / 2));
    this.#timer = setTimeout(() => this.#connect(), jittered);
    this.#on.state("waiting", jittered);
  }
}

/** Shows a state of the socket in an element of class "state". */
export function showState(element, name, detail) {
  element.dataset.state = name;
  element.textContent = stateText(name, detail);
}

function stateText(name, detail) {
  switch (name) {
    case "open": return "connected";
    case "connecting": return "connecting…";
    case "waiting": return `no connection, next try in ${Math.max(1, Math.round(detail / 1000))} s`;
    case "refused": return `closed by the server: ${detail.code}${detail.reason ? ` ${detail.reason}` : ""}`;
    default: return "not connected";
  }
}
