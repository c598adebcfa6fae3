// The live chat: `/chat?user=NAME`. What is typed goes out as it is, one message a line; events come in as JSON:
//   {"type":"hello","you":…,"connection":…,"online":[…],"history":[…]}   {"type":"join"|"leave","user":…,"online":n}
//   {"type":"message","user":…,"text":…,"at":<ms>}        {"type":"error","text":…}
// Anything else is what the site sent to this user with `publish`, and is shown as that.
//
// Ids that tests rely on: chat-name-form, chat-name, chat-state, chat-online, chat-log, chat-form, chat-text, chat-send.
// Rows of the log have the class of what they are: message, note, wrong, from-site.

import { ReconnectingSocket, showState } from "/assets/reconnect.js";
import { wellFormed } from "/assets/snippets.js";

const ROWS_MAX = 300;
const NAME_COLOURS = 6;

const log = document.getElementById("chat-log");
const state = document.getElementById("chat-state");
const online = document.getElementById("chat-online");
const nameForm = document.getElementById("chat-name-form");
const nameInput = document.getElementById("chat-name");
const form = document.getElementById("chat-form");
const input = document.getElementById("chat-text");

let socket = null;
let you = "";

/** Joins under the name of this tab; a new tab gets one. */
export function startChat() {
  nameForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = wellFormed(nameInput.value.trim());
    if (name === "" || name === you) return;
    join(name);
    input.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sendTyped();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") input.value = "";
  });
  join(rememberedName() ?? `guest-${1000 + Math.floor(Math.random() * 9000)}`);
}

function join(name) {
  socket?.end();
  remember(name);
  nameInput.value = name;
  you = name;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const url = `${scheme}//${location.host}/chat?user=${encodeURIComponent(name)}`;
  socket = new ReconnectingSocket(url, {
    message: receive,
    state: (now, detail) => {
      showState(state, now, detail);
      if (now !== "open") online.textContent = "";
    },
  });
}

function sendTyped() {
  const text = input.value;
  if (text.trim() === "") return;
  if (socket.send(text)) input.value = "";
  else addNote("Not sent: there is no connection now. Your text is kept.", "wrong");
}

function receive(text) {
  const event = eventFrom(text);
  switch (event?.type) {
    case "hello":
      you = event.you;
      nameInput.value = event.you;
      showOnline(event.online.length);
      // After a reconnect this is the same history again: start over.
      log.replaceChildren();
      for (const message of event.history) addMessage(message);
      addNote(`You are ${event.you}. ${whoIsHere(event.online)}`);
      break;
    case "join":
      showOnline(event.online);
      addNote(`${event.user} joined.`);
      break;
    case "leave":
      showOnline(event.online);
      addNote(`${event.user} left.`);
      break;
    case "message":
      addMessage(event);
      break;
    case "error":
      addNote(event.text, "wrong");
      break;
    default:
      addNote(`From the site, to ${you}: ${text}`, "from-site");
  }
}

/** The chat's event, or null: a site may send any text, so its shape is checked before it is believed. */
function eventFrom(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    return null;
  }
  const isText = (...values) => values.every((value) => typeof value === "string");
  switch (event?.type) {
    case "hello": return isText(event.you) && Array.isArray(event.online) && Array.isArray(event.history) ? event : null;
    case "join":
    case "leave": return isText(event.user) && Number.isInteger(event.online) ? event : null;
    case "message": return isText(event.user, event.text) ? event : null;
    case "error": return isText(event.text) ? event : null;
    default: return null;
  }
}

function whoIsHere(names) {
  return names.length === 1 ? "Nobody else is here: open a second tab." : `Here now: ${names.join(", ")}.`;
}

function showOnline(count) {
  online.textContent = `${count} here`;
}

function addMessage({ user, text, at }) {
  const row = document.createElement("p");
  row.className = "message";
  const when = document.createElement("time");
  const date = new Date(typeof at === "number" ? at : Date.now());
  if (!Number.isNaN(date.getTime())) {
    when.dateTime = date.toISOString();
    when.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }
  const who = document.createElement("span");
  who.className = `who who-${colourOf(user)}`;
  who.textContent = user === you ? `${user} (you)` : user;
  const what = document.createElement("span");
  what.className = "what";
  what.textContent = text;
  row.append(when, who, what);
  addRow(row);
}

function addNote(text, kind = "note") {
  const row = document.createElement("p");
  row.className = kind;
  row.textContent = text;
  addRow(row);
}

function addRow(row) {
  // Follow the talk, unless somebody scrolled up to read.
  const following = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(row);
  while (log.childElementCount > ROWS_MAX) log.firstElementChild.remove();
  if (following) log.scrollTop = log.scrollHeight;
}

function colourOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 65_521;
  return sum % NAME_COLOURS;
}

// Storage may be switched off; the chat works without it.
function rememberedName() {
  try {
    return sessionStorage.getItem("chat-name");
  } catch {
    return null;
  }
}

function remember(name) {
  try {
    sessionStorage.setItem("chat-name", name);
  } catch { /* see above */ }
}
