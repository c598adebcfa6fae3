// What is said and heard. Where the gateway is, gateway.js says.

const element = (id) => document.getElementById(id);
let socket;

function connect(name) {
  show('state', 'connecting', 'connecting');
  socket = new WebSocket(`${gateway}?name=${encodeURIComponent(name)}`);
  socket.onopen = () => {
    show('state', 'open', 'connected');
    element('log').replaceChildren(); // the server tells what was said before
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = () => {
    show('state', 'closed', 'no connection, trying again');
    setTimeout(connect, 1000 + 2000 * Math.random(), name);
  };
}

function receive(message) {
  switch (message.type) {
    case 'before': return message.messages.forEach(said);
    case 'said': return said(message);
    case 'came': here(message.here); return line('note', `${message.name} came.`);
    case 'left': here(message.here); return line('note', `${message.name} left.`);
    case 'refused': return line('wrong', `Not sent: ${message.why}.`);
  }
}

function said({ name, text, at }) {
  const time = document.createElement('time');
  time.textContent = new Date(at * 1000).toTimeString().slice(0, 5);
  const who = document.createElement('b');
  who.textContent = name;
  line('said', time, who, text);
}

/** Adds a line; whoever has scrolled up to read is left there. */
function line(kind, ...parts) {
  const log = element('log');
  const atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 20;
  const paragraph = document.createElement('p');
  paragraph.className = kind;
  paragraph.append(...parts);
  log.append(paragraph);
  if (log.childElementCount > 500) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function here(names) {
  element('here').replaceChildren(...names.map((name) => {
    const item = document.createElement('li');
    item.textContent = name;
    return item;
  }));
}

function show(id, kind, text) {
  element(id).className = `state ${kind}`;
  element(id).textContent = text;
}

element('join').onsubmit = (event) => {
  event.preventDefault();
  element('join').hidden = true;
  element('chat').hidden = false;
  element('text').focus();
  connect(element('name').value);
};

element('say').onsubmit = (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN || element('text').value.trim() === '') return;
  socket.send(element('text').value);
  element('text').value = '';
};
