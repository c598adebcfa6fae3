<?php
// The site's page. On a real site the user is who has logged in, and the page gets a token for the gateway (see README.md).
session_start();
$user = is_string($_GET['user'] ?? null) ? $_GET['user'] : 'anna';
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Notify · rupor</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%23b8400e'/%3E%3Cpath d='M3 7h2l5-3v8L5 9H3z' fill='%23fff'/%3E%3C/svg%3E">
<link rel="stylesheet" href="style.css">
</head>
<body>
<header>
  <h1>Notify <small>from a script to one user</small></h1>
  <p class="state" id="state" role="status">connecting</p>
</header>
<main>
  <section class="card">
    <p>This page listens as <b id="user"><?= htmlspecialchars($user) ?></b>. Its connection is <code id="connection">…</code></p>
    <div class="log" id="log" role="log" tabindex="0" aria-label="Notices" style="height: 9rem"></div>
    <p class="soft">Open it <a href="?<?= htmlspecialchars(http_build_query(['user' => 'boris'] + $_GET)) ?>" target="_blank">as boris</a> in another tab.</p>
  </section>
  <form class="card" id="send">
    <h2>Let the site’s script send</h2>
    <div class="row">
      <label>to <select name="by">
        <option value="user">a user</option>
        <option value="connection">one connection (a tab)</option>
        <option value="session">this session (a browser)</option>
      </select></label>
      <label id="to">of the name or id <input name="to" value="<?= htmlspecialchars($user) ?>" autocomplete="off"></label>
      <label>by <select name="with">
        <option value="library">Rupor\Client</option>
        <option value="plain">two plain lines of PHP</option>
      </select></label>
    </div>
    <div class="row">
      <label>Notice <input name="text" value="Your order is ready" required maxlength="200" autocomplete="off"></label>
      <button class="primary">Send</button>
    </div>
    <p class="soft" id="result" role="status"></p>
  </form>
</main>
<script>
const element = (id) => document.getElementById(id);
// The gateway is on this host, unless ?server=HOST:PORT names another. The session's cookie comes along by itself.
const server = new URLSearchParams(location.search).get('server') ?? `${location.hostname}:8000`;

function connect() {
  const socket = new WebSocket(`ws://${server}/?user=${encodeURIComponent(element('user').textContent)}`);
  socket.onopen = () => show('open', 'connected');
  socket.onmessage = (event) => {
    const { connection, notice, by } = JSON.parse(event.data);
    if (connection) element('connection').textContent = connection;
    else line(notice, by);
  };
  socket.onclose = () => {
    show('closed', 'no connection, trying again');
    setTimeout(connect, 1000 + 2000 * Math.random());
  };
}

function line(notice, by) {
  const paragraph = document.createElement('p');
  const how = document.createElement('time');
  how.textContent = `by ${by}`;
  paragraph.append(how, notice);
  element('log').append(paragraph);
  element('log').scrollTop = element('log').scrollHeight;
}

function show(kind, text) {
  element('state').className = `state ${kind}`;
  element('state').textContent = text;
}

const form = element('send');
form.by.onchange = () => {
  element('to').hidden = form.by.value === 'session';
  form.to.value = form.by.value === 'user' ? element('user').textContent : element('connection').textContent;
};
form.onsubmit = async (event) => {
  event.preventDefault();
  const response = await fetch('notify.php', { method: 'POST', body: new FormData(form) });
  const { ok, connections, error } = await response.json();
  const taken = connections === undefined ? 'Written.' : `Handed to ${connections} connection${connections === 1 ? '' : 's'}.`;
  element('result').textContent = ok ? taken : `Not sent: ${error}`;
};
connect();
</script>
</body>
</html>
