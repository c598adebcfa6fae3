// The page's side of a connection. A test calls these functions from outside (page.evaluate); all of them give values
// that pass as JSON.

/** Everything about the page's one connection. */
const peer = { ws: null, received: [], waiting: [], ended: null };

/** Opens the connection; resolves to what was agreed, or to how it ended instead. */
function connect({ url, subprotocols = [], binaryType = 'arraybuffer' }) {
  const ws = new WebSocket(url, subprotocols);
  ws.binaryType = binaryType;
  Object.assign(peer, { ws, received: [], waiting: [] });
  peer.ended = new Promise((resolve) => {
    ws.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
  });
  ws.onmessage = ({ data }) => {
    peer.received.push(data);
    peer.waiting = peer.waiting.filter(({ count, resolve }) => peer.received.length < count || void resolve());
  };
  const open = new Promise((resolve) => {
    ws.onopen = () => resolve({ subprotocol: ws.protocol, extensions: ws.extensions });
  });
  return Promise.race([open, peer.ended]);
}

/** Resolves when so many messages have come, to those that are text; others as their type and bytes. */
async function messages(count) {
  if (peer.received.length < count) await new Promise((resolve) => peer.waiting.push({ count, resolve }));
  return Promise.all(peer.received.map(shown));
}

async function shown(message) {
  if (typeof message === 'string') return message;
  const type = message.constructor.name;
  const bytes = new Uint8Array(message instanceof Blob ? await message.arrayBuffer() : message);
  return { type, bytes: [...bytes] };
}

/** Bytes that do not repeat soon, the same each time. */
function bytes(length) {
  const made = new Uint8Array(length);
  for (let i = 0, state = 1; i < length; i++) {
    state = (state * 1103515245 + 12345) % 2147483648;
    made[i] = state >> 16;
  }
  return made;
}

/** Sends one message of this length and resolves to whether the same comes back. */
async function echoes({ length, binary }) {
  const sent = bytes(length);
  // Letters out of the bytes: random enough, and one byte each.
  const text = binary ? '' : Array.from(sent, (byte) => String.fromCharCode(97 + (byte % 26))).join('');
  const count = peer.received.length + 1;
  peer.ws.send(binary ? sent : text);
  if (peer.received.length < count) await new Promise((resolve) => peer.waiting.push({ count, resolve }));
  const back = peer.received[count - 1];
  if (!binary) return back === text;
  const got = new Uint8Array(back);
  return got.length === length && got.every((byte, i) => byte === sent[i]);
}

/** Sends so many messages of this length at once; `bufferedAmount` right after that. */
function flood({ count, length }) {
  for (let i = 0; i < count; i++) peer.ws.send(bytes(length));
  return peer.ws.bufferedAmount;
}
