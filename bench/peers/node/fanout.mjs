// What a publication to many costs servers that `rupor bench` cannot speak to: published by HTTP (to `rupor-lines` by
// lines, at the inlet of RUPOR_INLET's port), heard over WebSocket.
//
//     node fanout.mjs KIND PORT PID [CONNECTIONS [IN_FLIGHT [SECONDS [BYTES]]]]
//
// KIND: rupor, rupor-lines, soketi or nchan. As in `rupor bench broadcast`, a publication is done when every subscriber
// has heard it, and only then the next one leaves. CPU is that of PID and its children. Prints one line of JSON.
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import WebSocket from "ws";

const [kind, port, pid, connections = 1000, inFlight = 16, seconds = 5, bytes = 100] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(inFlight) });
const text = "x".repeat(Number(bytes));
const md5 = (what) => createHash("md5").update(what).digest("hex");

const KINDS = {
  rupor: {
    url: `ws://127.0.0.1:${port}/?user=u&channel=bench`,
    headers: { authorization: `Bearer ${process.env.RUPOR_API_KEY}` },
    request: () => ["/api/publish", JSON.stringify({ channel: "bench", message: text }), "application/json"],
    counts: (data) => data.length === text.length,
  },
  "rupor-lines": {
    url: `ws://127.0.0.1:${port}/?user=u&channel=bench`,
    line: JSON.stringify({ channel: "bench", message: text }) + "\n",
    counts: (data) => data.length === text.length,
  },
  nchan: {
    url: `ws://127.0.0.1:${port}/sub`,
    request: () => ["/pub", text, "text/plain"],
    counts: (data) => data.length === text.length,
  },
  soketi: {
    url: `ws://127.0.0.1:${port}/app/key?protocol=7&client=bench&version=1`,
    subscribe: JSON.stringify({ event: "pusher:subscribe", data: { channel: "bench" } }),
    subscribed: "subscription_succeeded",
    request: () => {
      const body = JSON.stringify({ name: "e", channel: "bench", data: text });
      const query = `auth_key=key&auth_timestamp=${Math.floor(Date.now() / 1000)}&auth_version=1.0&body_md5=${md5(body)}`;
      const signature = createHmac("sha256", "secret").update(`POST\n/apps/app/events\n${query}`).digest("hex");
      return [`/apps/app/events?${query}&auth_signature=${signature}`, body, "application/json"];
    },
    counts: (data) => data.length > text.length,
  },
};
const { url, headers, subscribe, subscribed, request, line, counts } = KINDS[kind];
const inlet = line && net.connect(Number(process.env.RUPOR_INLET), "127.0.0.1");

let heard = 0;
// By publication, of those in flight: how many have not heard it. They arrive in order, the same for everybody.
const missing = Array(Number(inFlight)).fill(0);

function open() {
  return new Promise((done, failed) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    let place = 0;
    socket.on("error", failed);
    socket.on("open", () => (subscribe ? socket.send(subscribe) : done()));
    socket.on("message", (data) => {
      if (subscribed && data.includes(subscribed)) return done();
      if (!counts(data)) return;
      heard += 1;
      missing[place] -= 1;
      if (missing[place] === 0) publish(place);
      place = (place + 1) % missing.length;
    });
  });
}

function publish(place) {
  missing[place] = Number(connections);
  if (inlet) return inlet.write(line);
  const [path, body, type] = request();
  const options = { port, path, method: "POST", agent, headers: { "content-type": type, "content-length": body.length, ...headers } };
  const call = http.request({ host: "127.0.0.1", ...options }, (answer) => {
    if (answer.statusCode >= 300) throw new Error(`${answer.statusCode} to a publication`);
    answer.resume();
  });
  call.end(body);
}

// Ticks of utime and stime, of the process and its children that still run.
function ticks(id) {
  const fields = readFileSync(`/proc/${id}/stat`, "utf8").replace(/.*\) /s, "").split(" ");
  const children = readFileSync(`/proc/${id}/task/${id}/children`, "utf8").trim();
  return children.split(" ").filter(Boolean).reduce((sum, child) => sum + ticks(child), Number(fields[11]) + Number(fields[12]));
}

for (let opened = 0; opened < connections; opened += 50) await Promise.all(Array.from({ length: 50 }, open));
missing.forEach((_, place) => publish(place));
await new Promise((done) => setTimeout(done, 1000));
const [heardBefore, cpuBefore] = [heard, ticks(pid)];
await new Promise((done) => setTimeout(done, seconds * 1000));
const [deliveries, cpu] = [heard - heardBefore, (ticks(pid) - cpuBefore) / 100];
console.log(JSON.stringify({ kind, deliveries, cpu, deliveries_per_cpu_s: Math.round(deliveries / cpu) }));
process.exit(0);
