// Stands between a client and the program and keeps the frames that go by, as they are on the wire.
//
//   const tap = await Tap.open(t, rupor.browsers);        then connect to tap.address
//   tap.connections[0].sent                               what the program sent on the first one

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Tap {
  /** One in front of HOST:PORT that ends with the test. */
  static async open(t, address) {
    const tap = new Tap();
    const [host, port] = address.split(':');
    const server = createServer((client) => {
      const upstream = connect(Number(port), host);
      t.after(() => upstream.destroy());
      tap.connections.push(new Tapped(client, upstream));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    tap.address = `127.0.0.1:${server.address().port}`;
    return tap;
  }

  /** In the order in which they came. */
  connections = [];
}

/** One connection: its frames each way, whole ones only. */
class Tapped {
  constructor(client, upstream) {
    const [received, sent] = [new Frames(), new Frames()];
    this.received = received.all;
    this.sent = sent.all;
    /** The answer to the upgrade. */
    this.head = () => sent.head;
    for (const [from, to, frames] of [[client, upstream, received], [upstream, client, sent]]) {
      from.on('data', (bytes) => {
        frames.add(bytes);
        to.write(bytes);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  }
}

/** Reads one direction: a head, then frames (RFC 6455 §5.2). */
class Frames {
  all = [];
  head = '';
  #rest = Buffer.alloc(0);

  add(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (!this.head) {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.#rest.toString('latin1', 0, end + 2);
      this.#rest = this.#rest.subarray(end + 4);
    }
    for (let frame; (frame = first(this.#rest)); this.#rest = this.#rest.subarray(frame.bytes)) this.all.push(frame);
  }
}

/** The frame that the bytes begin with, once it is whole. */
function first(bytes) {
  if (bytes.length < 2) return undefined;
  const [begin, length] = [bytes[0], bytes[1] & 127];
  const header = { 126: 4, 127: 10 }[length] ?? 2;
  if (bytes.length < header) return undefined;
  const payload = { 126: () => bytes.readUInt16BE(2), 127: () => Number(bytes.readBigUInt64BE(2)) }[length]?.() ?? length;
  const whole = header + (bytes[1] & 128 ? 4 : 0) + payload;
  if (bytes.length < whole) return undefined;
  return { fin: begin >= 128, rsv1: (begin & 0x40) !== 0, opcode: begin & 15, payload, bytes: whole };
}
