/**
 * rupor for Laravel Echo: a connector in one file, without dependencies.
 *
 *   new Echo({ broadcaster: RuporConnector, host: 'wss://ws.example.org' })
 *
 * Private and presence channels are asked for at `authEndpoint`, as Echo's other connectors do; the token that it answers with
 * opens the channel at the gateway. Speaks rupor.v1: docs/reference/rupor-v1.md.
 */

/** The pause before the first new try, and the longest, in milliseconds. Each is twice the one before it, less up to a half. */
const PAUSE_FIRST_MS = 500;
const PAUSE_LONGEST_MS = 30_000;
/** So often the gateway is asked whether it is there, and so long it may take to answer, in milliseconds. */
const PING_INTERVAL_MS = 30_000;
const PONG_TIMEOUT_MS = 10_000;

/** What a JWT is written with. */
const TOKEN = /^[\w.-]+$/;

const DEFAULTS = {
  host: null,
  token: null, // of the user: a string, or a function that returns one or a promise of one
  authEndpoint: '/broadcasting/auth',
  auth: { headers: {} },
  csrfToken: null,
  bearerToken: null,
  namespace: 'App.Events',
};

export default class RuporConnector {
  #socket;
  #socketId;
  #status = 'connecting';
  #watchers = new Set();
  #tries = 0;
  #timer; // to connect again
  #pulse; // the next ping, or the end of the wait for its pong
  #number = 0; // of the last request
  #answers = new Map(); // a request's number → what its answer is given to

  constructor(options) {
    this.options = { ...DEFAULTS, ...options };
    this.channels = {}; // Echo looks in here
    this.connect();
  }

  /** Echo names its broadcaster in errors, and would put the whole of this class there. */
  static toString() {
    return 'RuporConnector';
  }

  connect() {
    clearTimeout(this.#timer);
    if (this.#socket) return;
    this.#open();
  }

  disconnect() {
    clearTimeout(this.#timer);
    this.#drop('disconnected');
  }

  listen(name, event, callback) {
    return this.channel(name).listen(event, callback);
  }

  channel(name) {
    return this.#one(name, RuporChannel);
  }

  privateChannel(name) {
    return this.#one(`private-${name}`, RuporChannel);
  }

  presenceChannel(name) {
    return this.#one(`presence-${name}`, RuporPresenceChannel);
  }

  /** Leaves the channel and its private and presence namesakes. */
  leave(name) {
    for (const each of [name, `private-${name}`, `presence-${name}`]) this.leaveChannel(each);
  }

  leaveChannel(name) {
    if (!this.channels[name]) return;
    delete this.channels[name];
    this.request({ type: 'unsubscribe', channel: name });
  }

  /** The connection's id: Laravel leaves it out by the header X-Socket-ID. Not known before the gateway's welcome. */
  socketId() {
    return this.#socketId;
  }

  connectionStatus() {
    return this.#status;
  }

  onConnectionChange(callback) {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  /** Sends a request of rupor.v1 when the connection is there; `answered` is called with the answer, or never. */
  request(message, answered) {
    if (!this.#socketId) return;
    const id = ++this.#number;
    if (answered) this.#answers.set(id, answered);
    this.#socket.send(JSON.stringify({ ...message, id }));
  }

  /** A promise of the token for a channel. */
  async authorize(channel) {
    const headers = { Accept: 'application/json', 'Content-Type': 'application/json', ...this.options.auth?.headers };
    const csrf = this.options.csrfToken ?? globalThis.Laravel?.csrfToken
      ?? globalThis.document?.querySelector?.('meta[name="csrf-token"]')?.getAttribute('content');
    if (csrf) headers['X-CSRF-TOKEN'] = csrf;
    if (this.options.bearerToken) headers.Authorization = `Bearer ${this.options.bearerToken}`;
    const response = await fetch(this.options.authEndpoint, {
      method: 'POST',
      headers,
      body: JSON.stringify({ socket_id: this.#socketId, channel_name: channel }),
    });
    if (!response.ok) throw { type: 'AuthError', status: response.status, error: `${this.options.authEndpoint} answered ${response.status}` };
    return (await response.json()).token;
  }

  #one(name, Kind) {
    if (!this.channels[name]) {
      this.channels[name] = new Kind(this, name);
      this.channels[name].subscribe();
    }
    return this.channels[name];
  }

  async #open() {
    const opening = (this.#socket = {}); // a place holder, until the user's token is there
    const offers = ['rupor.v1'];
    try {
      const { token } = this.options;
      const own = typeof token === 'function' ? await token() : token;
      // A site that wants a login first, or fails, answers with a page: no browser offers that, and none of it is shown.
      if (own && !TOKEN.test(own)) throw new Error('what `token` gave is none: is the user logged in?');
      if (own) offers.push(`rupor.jwt.${own}`);
    } catch (error) {
      if (this.#socket !== opening) return;
      console.warn('rupor: no token of the user, trying again later:', error);
      this.#lost(true);
      return;
    }
    if (this.#socket !== opening) return; // it was ended meanwhile
    const socket = (this.#socket = new WebSocket(this.options.host, offers));
    const mine = (then) => (event) => this.#socket === socket && then(event);
    socket.onmessage = mine((event) => this.#receive(event.data));
    socket.onclose = mine(({ code }) => this.#lost(comesBack(code)));
  }

  #receive(text) {
    if (typeof text !== 'string') return;
    const message = JSON.parse(text);
    const answered = message.id !== undefined && this.#answers.get(message.id);
    if (answered) {
      this.#answers.delete(message.id);
      answered(message);
    } else if (message.type === 'welcome') {
      this.#socketId = message.connection;
      this.#tries = 0;
      this.#show('connected');
      this.#ping();
      for (const channel of Object.values(this.channels)) channel.subscribe();
    } else if (message.type === 'message' && message.channel) {
      this.channels[message.channel]?.receive(message.message);
    } else if (message.type === 'unsubscribed' && message.id === undefined) {
      // The gateway ended the subscription: a token that expired is replaced by a new one, if the site gives one.
      this.channels[message.channel]?.subscribe();
    }
  }

  #ping() {
    this.#pulse = setTimeout(() => {
      this.#pulse = setTimeout(() => this.#lost(true), PONG_TIMEOUT_MS);
      this.request({ type: 'ping' }, () => {
        clearTimeout(this.#pulse);
        this.#ping();
      });
    }, PING_INTERVAL_MS);
  }

  #lost(again) {
    this.#drop(again ? 'reconnecting' : 'failed');
    if (!again) return;
    const pause = Math.min(PAUSE_FIRST_MS * 2 ** this.#tries++, PAUSE_LONGEST_MS);
    this.#timer = setTimeout(() => this.connect(), pause * (1 - Math.random() / 2));
  }

  #drop(status) {
    clearTimeout(this.#pulse);
    const socket = this.#socket;
    this.#socket = undefined;
    this.#socketId = undefined;
    this.#answers.clear();
    socket?.close?.();
    this.#show(status);
  }

  #show(status) {
    if (status === this.#status) return;
    this.#status = status;
    for (const watcher of this.#watchers) watcher(status);
  }
}

/** Whether a client connects again after this close code: docs/reference/codes.md. */
function comesBack(code) {
  if (code >= 3000) return code < 3500;
  return [1001, 1005, 1006, 1011, 1012, 1013, 1014].includes(code);
}

/** A channel as Echo's own look. */
class RuporChannel {
  notificationCreatedEvent = '.Illuminate\\Notifications\\Events\\BroadcastNotificationCreated';
  #connector;
  #listeners = new Map(); // an event's name → its callbacks
  #all = new Set();
  #subscribed = new Set();
  #failed = new Set();
  #attempt = 0;

  constructor(connector, name) {
    this.#connector = connector;
    this.name = name;
    this.options = connector.options;
  }

  listen(event, callback) {
    const name = this.#full(event);
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(callback);
    return this;
  }

  stopListening(event, callback) {
    const name = this.#full(event);
    if (callback) this.#listeners.get(name)?.delete(callback);
    else this.#listeners.delete(name);
    return this;
  }

  /** Calls back with each event's name and data. */
  listenToAll(callback) {
    this.#all.add(callback);
    return this;
  }

  stopListeningToAll(callback) {
    if (callback) this.#all.delete(callback);
    else this.#all.clear();
    return this;
  }

  notification(callback) {
    return this.listen(this.notificationCreatedEvent, callback);
  }

  stopListeningForNotification(callback) {
    return this.stopListening(this.notificationCreatedEvent, callback);
  }

  /** Calls back whenever the channel is open: the first time, and after each loss of the connection. */
  subscribed(callback) {
    this.#subscribed.add(callback);
    return this;
  }

  /** Calls back when the site (`type` is `AuthError`, with `status`) or the gateway (with `code` and `text`) refuses the channel. */
  error(callback) {
    this.#failed.add(callback);
    return this;
  }

  listenForWhisper() {
    return this; // nobody can whisper, so nothing is missed
  }

  stopListeningForWhisper() {
    return this;
  }

  whisper() {
    throw new Error('rupor carries no whispers between browsers yet: send to the site, and let it broadcast');
  }

  /** @internal */
  async subscribe() {
    const attempt = ++this.#attempt;
    const connection = this.#connector.socketId();
    if (!connection) return; // the welcome asks again
    const request = { type: 'subscribe', channel: this.name };
    try {
      if (/^(private|presence)-/.test(this.name)) request.token = await this.#connector.authorize(this.name);
    } catch (error) {
      if (this.#current(attempt, connection)) for (const callback of this.#failed) callback(error);
      return;
    }
    // The page may have left the channel, or the connection be another, while the site thought about it.
    if (!this.#current(attempt, connection)) return;
    this.#connector.request(request, (answer) => {
      const refused = answer.type === 'error';
      for (const callback of refused ? this.#failed : this.#subscribed) callback(answer);
    });
  }

  /** @internal */
  receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // something else than an event of Laravel
    }
    if (typeof message?.event !== 'string') return;
    for (const callback of this.#all) callback(message.event, message.data);
    for (const callback of this.#listeners.get(message.event) ?? []) callback(message.data);
  }

  #current(attempt, connection) {
    return attempt === this.#attempt && connection === this.#connector.socketId() && this.#connector.channels[this.name] === this;
  }

  /** As Echo writes names: a class below the namespace, unless it begins with a dot or a backslash. */
  #full(event) {
    if (/^[.\\]/.test(event)) return event.slice(1);
    const { namespace } = this.options;
    return (namespace ? `${namespace}.${event}` : event).replaceAll('.', '\\');
  }
}

/** A presence channel: who may enter is asked, but the gateway does not know yet who is there. */
class RuporPresenceChannel extends RuporChannel {
  #warned = false;

  here() {
    return this.#missing();
  }

  joining() {
    return this.#missing();
  }

  leaving() {
    return this.#missing();
  }

  #missing() {
    if (!this.#warned) console.warn(`${this.name}: rupor does not tell yet who is there, so here(), joining() and leaving() are never called`);
    this.#warned = true;
    return this;
  }
}
