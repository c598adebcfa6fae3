// The connection, the keys, the fingers and the chat. Where the gateway is, gateway.js says; what is seen is drawn by
// draw.js; what happens is decided by the server.

const element = (id) => document.getElementById(id);
let socket;

function connect(name) {
  show('connecting', 'connecting');
  socket = new WebSocket(`${gateway}?name=${encodeURIComponent(name)}`);
  socket.onopen = () => show('open', 'connected');
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = ({ reason }) => {
    show('closed', reason || 'no connection, trying again');
    setTimeout(connect, 1000 + 2000 * Math.random(), name);
  };
}

function receive(message) {
  if (message.at) {
    told(message);
    element('life').textContent = '♥'.repeat(message.life) || '–';
    element('hits').textContent = message.hits;
    element('away').hidden = message.away === 0;
  } else if (message.walls) {
    Object.assign(world, message);
    wishes.clear();
  } else if (message.scores) {
    element('scores').replaceChildren(...message.scores.map(score));
  } else if (message.said) {
    line('said', message.by, message.said);
  } else if (message.news) {
    line('note', '', `${message.news}.`);
  }
}

function score([name, hits]) {
  const item = document.createElement('li');
  const number = document.createElement('span');
  number.textContent = hits;
  item.append(number, name);
  return item;
}

function line(kind, by, text) {
  const paragraph = document.createElement('p');
  paragraph.className = kind;
  if (by) {
    const who = document.createElement('b');
    who.textContent = by;
    paragraph.append(who);
  }
  paragraph.append(text);
  const log = element('log');
  log.append(paragraph);
  if (log.childElementCount > 200) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
}

function show(kind, text) {
  element('state').className = `state ${kind}`;
  element('state').textContent = text;
}

/** What the player wants, and what of it the server knows: only changes are sent. */
const wishes = {
  told: {},
  want(name, value) {
    if (this.told[name] === value || socket?.readyState !== WebSocket.OPEN) return;
    this.told[name] = value;
    socket.send(JSON.stringify({ [name]: value }));
  },
  clear() {
    this.told = { go: null, fire: false };
  },
};
wishes.clear();

// The key that was pressed last decides; when it is let go, the one before it.
const KEYS = { ArrowUp: 0, KeyW: 0, ArrowRight: 1, KeyD: 1, ArrowDown: 2, KeyS: 2, ArrowLeft: 3, KeyA: 3 };
let pressed = [];

function key(event, down) {
  if (element('game').hidden || event.target.closest('input, button') || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.code in KEYS) {
    pressed = pressed.filter((code) => code !== event.code);
    if (down) pressed.push(event.code);
    wishes.want('go', KEYS[pressed.at(-1)] ?? null);
  } else if (event.code === 'Space') {
    wishes.want('fire', down);
  } else if (event.code === 'Enter' && down) {
    element('text').focus();
  } else {
    return;
  }
  event.preventDefault();
}

function stop() {
  pressed = [];
  wishes.want('go', null);
  wishes.want('fire', false);
}

addEventListener('keydown', (event) => key(event, true));
addEventListener('keyup', (event) => key(event, false));
addEventListener('blur', stop);
element('text').onfocus = stop;

// A finger on the pad drives to where it is from the middle.
const pad = element('pad');
pad.onpointerdown = pad.onpointermove = (event) => {
  if (event.type === 'pointermove' && !pad.hasPointerCapture(event.pointerId)) return;
  pad.setPointerCapture(event.pointerId);
  const { left, top, width, height } = pad.getBoundingClientRect();
  const [x, y] = [event.clientX - left - width / 2, event.clientY - top - height / 2];
  if (Math.hypot(x, y) < 8) return;
  if (Math.abs(x) > Math.abs(y)) wishes.want('go', x > 0 ? 1 : 3);
  else wishes.want('go', y > 0 ? 2 : 0);
};
pad.onpointerup = pad.onpointercancel = () => wishes.want('go', null);
element('fire').onpointerdown = () => wishes.want('fire', true);
element('fire').onpointerup = element('fire').onpointercancel = element('fire').onpointerleave = () => wishes.want('fire', false);

element('join').onsubmit = (event) => {
  event.preventDefault();
  element('join').hidden = true;
  element('game').hidden = false;
  element('canvas').focus();
  element('stage').scrollIntoView();
  connect(element('name').value);
  requestAnimationFrame(function frame(now) {
    draw(element('canvas'), now);
    requestAnimationFrame(frame);
  });
};

element('say').onsubmit = (event) => {
  event.preventDefault();
  const text = element('text').value.trim();
  if (text !== '' && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ say: text }));
  element('text').value = '';
  element('canvas').focus();
};
