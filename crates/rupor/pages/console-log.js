// The console's log: what went over the connection, with times. Bounded in rows and in what a row keeps of a message, and
// drawn once per animation frame, so that a flood from the other end costs drops of old rows and not the page.
// What a peer sent becomes text nodes only.

export const ROWS_MAX = 1000;
// What a row keeps of a message: enough to read, whatever its size.
const TEXT_KEPT = 2000;
const BYTES_KEPT = 64;

const WAYS = { sent: "↑ sent", received: "↓ received", noted: "· event", failed: "! failed" };
const utf8 = new TextEncoder();

/** Bytes that a text takes as UTF-8. */
export function bytesOf(text) {
  return utf8.encode(text).length;
}

/** The first bytes as hex, and as letters where they are some; `size` is that of the whole. */
export function hexPreview(bytes, size = bytes.length) {
  const shown = bytes.subarray(0, BYTES_KEPT);
  const hex = Array.from(shown, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const letters = Array.from(shown, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
  const more = size > shown.length ? " …" : "";
  return size === 0 ? "(empty)" : `${hex}${more}  |${letters}${more}|`;
}

export class Log {
  #list;
  #entries = [];
  #undrawn = [];
  #frame = 0;
  #dropped = 0;
  #onChange;

  /** `list` is the element that shows it; `onChange({ rows, dropped })` is called after each drawing. */
  constructor(list, onChange) {
    this.#list = list;
    this.#onChange = onChange;
  }

  text(way, text) {
    this.#add(way, "text", bytesOf(text), cut(text));
  }

  /** `bytes`: all of the message or its beginning. */
  binary(way, bytes, size = bytes.length) {
    this.#add(way, "binary", size, hexPreview(bytes, size));
  }

  /** Something that is not a message. */
  note(text, way = "noted") {
    this.#add(way, "", null, cut(text));
  }

  clear() {
    this.#entries = [];
    this.#undrawn = [];
    this.#dropped = 0;
    this.#list.replaceChildren();
    this.#onChange({ rows: 0, dropped: 0 });
  }

  /** One line an entry, columns parted by tabs. */
  asText() {
    return this.#entries
      .map(({ at, way, type, size, text }) => [at.toISOString(), way, type, size ?? "", JSON.stringify(text)].join("\t"))
      .join("\n");
  }

  asJson() {
    const entries = this.#entries.map(({ at, way, type, size, text }) => (
      { at: at.toISOString(), way, type: type || "event", bytes: size, text }
    ));
    return JSON.stringify({ dropped: this.#dropped, entries }, null, 1);
  }

  #add(way, type, size, text) {
    const entry = { at: new Date(), way, type, size, text };
    this.#entries.push(entry);
    this.#undrawn.push(entry);
    if (this.#entries.length > ROWS_MAX) {
      this.#entries.shift();
      this.#dropped += 1;
    }
    if (this.#undrawn.length > ROWS_MAX) this.#undrawn.shift();
    // A page in the background gets no animation frames; its log is drawn when it is looked at again.
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const list = this.#list;
    const following = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const rows = document.createDocumentFragment();
    for (const entry of this.#undrawn) rows.append(rowOf(entry));
    this.#undrawn = [];
    list.querySelector(".empty")?.remove();
    list.append(rows);
    while (list.childElementCount > ROWS_MAX) list.firstElementChild.remove();
    if (following) list.scrollTop = list.scrollHeight;
    this.#onChange({ rows: this.#entries.length, dropped: this.#dropped });
  }
}

function rowOf({ at, way, type, size, text }) {
  const row = document.createElement("p");
  row.className = size === null ? `${way} plain` : way;
  row.append(cell("time", clock(at)), cell("way", WAYS[way]));
  if (size !== null) row.append(cell("type", type), cell("size", `${size} B`));
  row.append(cell("text", text));
  return row;
}

function cell(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function clock(at) {
  const two = (number) => String(number).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function cut(text) {
  return text.length <= TEXT_KEPT ? text : `${text.slice(0, TEXT_KEPT)}… (${text.length - TEXT_KEPT} more characters)`;
}
