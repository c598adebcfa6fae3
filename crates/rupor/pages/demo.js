// The start page of demo mode: this page listens as a user, sends to a user, and shows the same call in other languages.
//
// Ids that tests rely on: examples-list, examples-lack; listen-user, listen-state, arrivals (one p per message, its text in .text), second-tab;
// send-form, send-user, send-message, send-button, send-result; code-php, code-php-command, code-curl, code-nc, code-listener
// and their buttons copy-php, copy-php-command, copy-curl, copy-nc, copy-listener; flow. The chat's are listed in chat.js.

import { startChat } from "/assets/chat.js";
import { copyFrom } from "/assets/copy.js";
import { ReconnectingSocket, showState } from "/assets/reconnect.js";
import { curlCommand, listenAddress, listenerPage, ncCommand, phpCommand, phpScript, wellFormed } from "/assets/snippets.js";

const ARRIVALS_MAX = 200;
const FIRST_USER = "tester01";

const settings = JSON.parse(document.getElementById("rupor").textContent);
const listeningUser = wellFormed(new URLSearchParams(location.search).get("user") || FIRST_USER);
const inlet = settings.inlets.find(({ kind }) => kind === "tcp") ?? settings.inlets[0];

const flow = document.getElementById("flow");
const sendUser = document.getElementById("send-user");
const sendMessage = document.getElementById("send-message");
const sendResult = document.getElementById("send-result");

// ------------------------------------------------------------------ listening

function startListening() {
  const address = listenAddress({ origin: location.origin, user: listeningUser });
  const state = document.getElementById("listen-state");
  for (const element of document.querySelectorAll("[data-show='user']")) element.textContent = listeningUser;
  document.getElementById("flow-address").textContent = address;
  document.title = `${listeningUser} · rupor demo`;
  offerSecondTab();
  new ReconnectingSocket(address, {
    state: (name, detail) => showState(state, name, detail),
    message: (text) => {
      pass("out");
      showArrival(text);
    },
  });
}

/** The next user after tester01 is tester02; after anybody else, tester01. */
function offerSecondTab() {
  const numbered = /^tester(\d{2})$/.exec(listeningUser);
  const next = numbered ? `tester${String((Number(numbered[1]) % 99) + 1).padStart(2, "0")}` : FIRST_USER;
  const link = document.getElementById("second-tab");
  link.href = `/?user=${encodeURIComponent(next)}`;
  link.textContent = `Open a tab as ${next}`;
}

function showArrival(text) {
  const list = document.getElementById("arrivals");
  list.querySelector(".empty")?.remove();
  const row = document.createElement("p");
  const when = document.createElement("time");
  when.textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const what = document.createElement("span");
  what.className = "text";
  what.textContent = text;
  row.append(when, what);
  list.append(row);
  while (list.childElementCount > ARRIVALS_MAX) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

/** A dot runs along one of the picture's two ways. */
function pass(way) {
  const element = flow.querySelector(`[data-way="${way}"]`);
  element.classList.remove("passing");
  void element.offsetWidth; // The browser must see it gone, or the animation does not start again.
  element.classList.add("passing");
}

// ------------------------------------------------------------------ sending

async function publish() {
  const body = { user: wellFormed(sendUser.value), message: wellFormed(sendMessage.value) };
  if (body.user === "") {
    say("Name a user first.", "bad");
    sendUser.focus();
    return;
  }
  pass("in");
  try {
    const response = await fetch("/api/publish", {
      method: "POST",
      headers: { Authorization: `Bearer ${settings.apiKey}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (response.status === 401) {
      say("The key in this page is an old one: the server was started anew. Reload the page.", "bad");
      return;
    }
    const answer = await response.json();
    if (!response.ok || answer.ok === false) {
      say(`Refused (${response.status}): ${answer.error ?? "no reason given"}`, "bad");
    } else {
      say(reached(body.user, answer.connections), answer.connections > 0 ? "good" : "soft");
    }
  } catch {
    say("The server did not answer. Is it still running?", "bad");
  }
}

function reached(user, connections) {
  if (connections === 0) return `Nobody is connected as ${user}: 0 connections.`;
  return `Handed to ${connections} ${connections === 1 ? "connection" : "connections"} of ${user}.`;
}

function say(text, kind) {
  sendResult.className = `small ${kind}`;
  sendResult.textContent = text;
}

function startSending() {
  sendUser.value = listeningUser;
  document.getElementById("send-form").addEventListener("submit", (event) => {
    event.preventDefault();
    publish();
  });
  for (const field of [sendUser, sendMessage]) {
    field.addEventListener("input", showSnippets);
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      field.value = "";
      showSnippets();
    });
  }
}

// ------------------------------------------------------------------ the same call elsewhere

const SNIPPETS = {
  php: phpScript,
  "php-command": phpCommand,
  curl: curlCommand,
  nc: ncCommand,
  listener: listenerPage,
};

function showSnippets() {
  const call = {
    inlet,
    origin: location.origin,
    apiKey: settings.apiKey,
    user: wellFormed(sendUser.value),
    message: wellFormed(sendMessage.value),
  };
  for (const [name, spell] of Object.entries(SNIPPETS)) {
    document.getElementById(`code-${name}`).textContent = spell(call);
  }
}

function startSnippets() {
  // Without an inlet for lines there is nothing to show that speaks them.
  if (!inlet) {
    for (const name of ["php", "php-command", "nc"]) {
      document.getElementById(`code-${name}`).closest(".snippet").hidden = true;
      delete SNIPPETS[name];
    }
  }
  const where = inlet?.kind === "unix" ? inlet.path : inlet && `${inlet.host}:${inlet.port}`;
  for (const element of document.querySelectorAll("[data-show='inlet']")) element.textContent = where ?? "(none)";
  for (const name of Object.keys(SNIPPETS)) {
    const button = document.getElementById(`copy-${name}`);
    button.addEventListener("click", () => {
      copyFrom(button, document.getElementById(`code-${name}`).textContent);
    });
  }
  showSnippets();
}

/** The examples in PHP, or why they cannot be had. */
function showExamples() {
  document.getElementById("examples-list").hidden = settings.lack !== null;
  const lack = document.getElementById("examples-lack");
  lack.hidden = settings.lack === null;
  lack.textContent = settings.lack;
}

startSending();
startSnippets();
showExamples();
startListening();
startChat();
