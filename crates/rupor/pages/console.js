// The test console: one connection to any WebSocket server, by hand.
//
// Ids that tests rely on: connect-form, address, subprotocols, connect, connect-error; close-form, close-code, close-reason,
// close-reason-bytes, disconnect, close-error; mixed-content; send-form, message, send, file, send-file, file-about;
// ping-form, ping-count, ping-interval, ping-start, ping-result; state, ready-state, buffered-amount, protocol, extensions,
// binary-type, url, close-seen, close-meaning, close-clean, close-seen-reason; log, log-count, log-clear, log-copy, log-export.
// A row of the log is a p of class sent, received, noted or failed, with spans time, way, type, size, text.

import { CLOSE_CODES, mayBeSentByPage, meaningOf } from "/assets/close-codes.js";
import { Log, bytesOf } from "/assets/console-log.js";
import { copyFrom } from "/assets/copy.js";
import { Pinger, ms, summary } from "/assets/ping.js";

// How often what the browser has no event for (bufferedAmount) is looked at.
const LOOK_MS = 200;
// RFC 6455 §5.5: a control frame carries at most 125 bytes, two of them are the code.
const REASON_BYTES_MAX = 123;
const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
const STATE_WORDS = ["connecting", "open", "closing", "closed"];

const at = (id) => document.getElementById(id);
const log = new Log(at("log"), ({ rows, dropped }) => {
  at("log-count").textContent = `${rows} ${rows === 1 ? "row" : "rows"}${dropped > 0 ? `, ${dropped} older dropped` : ""}`;
});

/** The newest socket; null before the first. */
let socket = null;
/** The running measurement, if any. */
let pinger = null;
/** How the newest socket ended: a CloseEvent. */
let ending = null;

// ------------------------------------------------------------------ connecting

function connect() {
  complain("connect-error", "");
  const address = at("address").value.trim();
  const wrong = wrongAddress(address);
  if (wrong) {
    complain("connect-error", wrong, at("address"));
    return;
  }
  const subprotocols = at("subprotocols").value.split(/[\s,]+/).filter(Boolean);
  let opening;
  try {
    opening = subprotocols.length > 0 ? new WebSocket(address, subprotocols) : new WebSocket(address);
  } catch (error) {
    complain("connect-error", refusal(error, subprotocols), error.name === "SyntaxError" ? at("subprotocols") : at("address"));
    return;
  }
  opening.binaryType = at("binary-type").value;
  socket = opening;
  ending = null;
  log.note(`connecting to ${opening.url}${subprotocols.length > 0 ? `, offering ${subprotocols.join(", ")}` : ""}`);
  follow(opening);
  render();
}

/** Wires a socket's events. One that was replaced while it was closing is still logged; what is shown is the newest. */
function follow(opening) {
  let opened = false;
  const newest = () => opening === socket;
  opening.onopen = () => {
    opened = true;
    const agreed = [["subprotocol", opening.protocol], ["extensions", opening.extensions]];
    log.note(["open", ...agreed.filter(([, what]) => what !== "").map((pair) => pair.join(" "))].join(", "));
    render();
  };
  opening.onmessage = (event) => receive(event.data);
  opening.onclose = (event) => {
    if (newest()) {
      ending = event;
      pinger?.stop();
    }
    const [how, way] = event.wasClean ? ["clean", "noted"] : ["not clean", "failed"];
    log.note(`closed, code ${event.code}${quoted(event.reason)}, ${how}`, way);
    if (!opened) log.note(whyNeverOpened(opening.url), "failed");
    render();
  };
}

/** What is wrong with an address, or null. */
function wrongAddress(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return "This is not an address. One looks like ws://127.0.0.1:8000/echo";
  }
  if (url.protocol !== "ws:" && url.protocol !== "wss:") return "The address has to begin with ws:// or wss://";
  if (url.hash !== "") return "A WebSocket address has no #fragment.";
  return null;
}

function refusal(error, subprotocols) {
  if (error.name === "SecurityError") {
    return "The browser refuses: ws:// from a page that came over https (mixed content). Use wss://.";
  }
  if (error.name === "SyntaxError" && subprotocols.length > 0) {
    return "A subprotocol is a word of letters, digits and !#$%&'*+-.^_`|~, and may be offered once.";
  }
  return error.message;
}

/** Browsers do not tell a page why a connection did not open; these are the usual reasons. */
function whyNeverOpened(url) {
  const reasons = ["nobody listens there", "the server refused the upgrade (the browser’s network panel shows its answer)"];
  if (url.startsWith("wss:")) {
    reasons.push(`the certificate is not trusted (open ${url.replace(/^wss/, "https")} in a tab and see)`);
  } else if (location.protocol === "https:") {
    reasons.push("ws:// is mixed content on this page");
  }
  return `It never opened, and a page is not told why: ${reasons.join("; or ")}.`;
}

function quoted(reason) {
  return reason === "" ? "" : ` “${reason}”`;
}

function warnOfMixedContent() {
  const mixed = location.protocol === "https:" && /^ws:/i.test(at("address").value.trim());
  at("mixed-content").hidden = !mixed;
}

// ------------------------------------------------------------------ closing

function disconnect() {
  complain("close-error", "");
  const code = at("close-code").value.trim();
  const reason = at("close-reason").value;
  if (code !== "" && (!/^\d{4}$/.test(code) || !mayBeSentByPage(Number(code)))) {
    complain("close-error", "A page may send 1000 or 3000 to 4999, or no code at all.", at("close-code"));
    return;
  }
  if (bytesOf(reason) > REASON_BYTES_MAX) {
    const sizes = `at most ${REASON_BYTES_MAX} bytes of UTF-8; this one takes ${bytesOf(reason)}`;
    complain("close-error", `A reason takes ${sizes}.`, at("close-reason"));
    return;
  }
  if (code === "" && reason !== "") {
    complain("close-error", "A reason needs a code before it.", at("close-code"));
    return;
  }
  log.note(code === "" ? "closing without a code" : `closing, code ${code}${quoted(reason)}`);
  if (code === "") socket.close();
  else socket.close(Number(code), reason);
  render();
}

// ------------------------------------------------------------------ messages

function receive(content) {
  if (typeof content === "string") {
    if (!pinger?.take(content)) log.text("received", content);
  } else if (content instanceof ArrayBuffer) {
    log.binary("received", new Uint8Array(content));
  } else {
    // Read afterwards: its row may come after that of the next message.
    firstBytes(content).then((head) => log.binary("received", head, content.size));
  }
}

/** What the log shows of a blob or a file. */
async function firstBytes(blob) {
  return new Uint8Array(await blob.slice(0, 1024).arrayBuffer());
}

function send() {
  if (socket?.readyState !== WebSocket.OPEN) {
    log.note("not sent: there is no open connection", "failed");
    return;
  }
  const text = at("message").value;
  socket.send(text);
  log.text("sent", text);
  render();
}

async function sendFile() {
  const file = at("file").files[0];
  if (!file) return;
  let head;
  try {
    head = await firstBytes(file);
  } catch {
    log.note(`${file.name} cannot be read; was it changed or moved?`, "failed");
    return;
  }
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(file);
  log.binary("sent", head, file.size);
  render();
}

function showFile() {
  const file = at("file").files[0];
  at("file-about").textContent = file ? `${file.name}, ${file.size} bytes, as one binary message` : "";
  render();
}

// ------------------------------------------------------------------ round trips

async function ping() {
  if (pinger) {
    pinger.stop();
    return;
  }
  const count = wholeNumber("ping-count", 1, 1000);
  const interval = wholeNumber("ping-interval", 0, 60_000);
  if (count === null || interval === null) return;
  pinger = new Pinger();
  at("ping-result").textContent = "measuring…";
  render();
  const report = (number, time) => {
    if (time === null) log.note(`ping ${number}: no echo in 5 s`, "failed");
    else log.note(`ping ${number}: ${ms(time)} ms`);
  };
  const result = await pinger.run({ socket, count, interval, report });
  pinger = null;
  at("ping-result").textContent = summary(result);
  log.note(summary(result));
  render();
}

/** The number in a field, or null after saying what is wrong with it. */
function wholeNumber(id, least, most) {
  const number = Number(at(id).value);
  const right = at(id).value.trim() !== "" && Number.isInteger(number) && number >= least && number <= most;
  at(id).setAttribute("aria-invalid", String(!right));
  if (right) return number;
  at("ping-result").textContent = `A whole number from ${least} to ${most}, please.`;
  at(id).focus();
  return null;
}

// ------------------------------------------------------------------ live state

function render() {
  const ready = socket?.readyState;
  const open = ready === WebSocket.OPEN;
  const alive = open || ready === WebSocket.CONNECTING;
  at("state").dataset.state = ready === undefined ? "closed" : STATE_WORDS[ready];
  show("state", ready === undefined ? "not connected" : STATE_WORDS[ready]);
  show("ready-state", ready === undefined ? "–" : `${ready} ${STATES[ready]}`);
  show("buffered-amount", socket ? `${socket.bufferedAmount} B` : "–");
  show("protocol", socket ? socket.protocol || "(none)" : "–");
  show("extensions", socket ? socket.extensions || "(none)" : "–");
  show("url", socket?.url ?? "–");
  show("close-seen", ending ? String(ending.code) : "–");
  show("close-meaning", ending ? meaningOf(ending.code) : "");
  show("close-clean", ending ? String(ending.wasClean) : "–");
  show("close-seen-reason", ending ? ending.reason || "(none)" : "–");
  // A button that has the focus and is disabled would lose it: hand it to the one that now does the opposite.
  enable("connect", !alive, "disconnect");
  enable("disconnect", alive, "connect");
  enable("send", open);
  enable("send-file", open && at("file").files.length > 0);
  enable("ping-start", open || pinger !== null);
  show("ping-start", pinger ? "Stop" : "Measure");
}

function show(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
}

function enable(id, enabled, opposite) {
  const button = at(id);
  if (button.disabled === !enabled) return;
  const hadFocus = document.activeElement === button;
  button.disabled = !enabled;
  if (!hadFocus || enabled || !opposite) return;
  at(opposite).disabled = false;
  at(opposite).focus();
}

/** Says what is wrong, marks the field and goes there; empty text takes it back. */
function complain(id, text, field) {
  at(id).textContent = text;
  for (const other of at(id).closest("form").elements) other.removeAttribute("aria-invalid");
  field?.setAttribute("aria-invalid", "true");
  field?.focus();
}

// ------------------------------------------------------------------ the page

function fillAddress() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  at("address").value = `${scheme}://${location.host}/echo`;
  for (const path of ["/echo", "/chat?user=tester01", "/?user=tester01"]) {
    const option = document.createElement("option");
    option.value = `${scheme}://${location.host}${path}`;
    at("addresses").append(option);
  }
}

function fillCodes() {
  for (const [code, name, meaning] of CLOSE_CODES) {
    const row = at("codes").insertRow();
    for (const text of [String(code), name, meaning]) row.insertCell().textContent = text;
  }
}

function exportLog() {
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([log.asJson()], { type: "application/json" }));
  link.href = url;
  link.download = `rupor-console-${new Date().toISOString().replace(/[:.]/g, "-")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function onSubmit(form, act) {
  at(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

onSubmit("connect-form", () => { if (!at("connect").disabled) connect(); });
onSubmit("close-form", () => { if (!at("disconnect").disabled) disconnect(); });
onSubmit("send-form", send);
onSubmit("ping-form", ping);
at("address").addEventListener("input", warnOfMixedContent);
at("send-file").addEventListener("click", sendFile);
at("file").addEventListener("change", showFile);
at("binary-type").addEventListener("change", (event) => { if (socket) socket.binaryType = event.target.value; });
at("close-reason").addEventListener("input", (event) => {
  at("close-reason-bytes").textContent = `${bytesOf(event.target.value)}/${REASON_BYTES_MAX} bytes`;
});
at("message").addEventListener("keydown", (event) => {
  if (event.key === "Escape") event.target.value = "";
  // Not the Enter that ends the composition of a character.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
at("log-clear").addEventListener("click", () => log.clear());
at("log-copy").addEventListener("click", (event) => copyFrom(event.target, log.asText()));
at("log-export").addEventListener("click", exportLog);

fillAddress();
fillCodes();
warnOfMixedContent();
render();
setInterval(() => { if (socket) render(); }, LOOK_MS);
