// Close codes: their names in the IANA registry "WebSocket Close Code Number Registry", what they mean to somebody who looks
// at one, and whether a client connects again after it. The server's table is crates/proto/src/close.rs; a test of the
// program compares the two.

/** @type {ReadonlyArray<readonly [code: number, name: string, meaning: string, reconnects: boolean]>} */
export const CLOSE_CODES = [
  [1000, "Normal Closure", "Done: the purpose of the connection is fulfilled.", false],
  [1001, "Going Away", "The server shuts down, or the page was left.", true],
  [1002, "Protocol Error", "A frame broke the rules of RFC 6455.", false],
  [1003, "Unsupported Data", "A kind of message that this end does not take, such as binary.", false],
  [1004, "Reserved", "Has no meaning and is not used.", false],
  [1005, "No Status Received", "The close frame carried no code. Never sent: the browser says so.", true],
  [1006, "Abnormal Closure", "It ended, or never opened, without a close frame. Never sent: the browser says so.", true],
  [1007, "Invalid Payload Data", "A message did not fit its type: text that is not UTF-8.", false],
  [1008, "Policy Violation", "Against a rule of the other end: a limit, a right, a deadline.", false],
  [1009, "Message Too Big", "A message was larger than the other end takes.", false],
  [1010, "Mandatory Extension", "The client needs an extension that the server did not agree to.", false],
  [1011, "Internal Error", "The server met something that it did not expect.", true],
  [1012, "Service Restart", "The server restarts: connect again, after a random delay.", true],
  [1013, "Try Again Later", "The server is overloaded: connect again later.", true],
  [1014, "Bad Gateway", "A gateway got an invalid answer from the server behind it.", true],
  [1015, "TLS Handshake Failed", "No TLS connection came about. Never sent: the browser says so.", false],
  [3000, "Unauthorized", "Who you are was not proved: a token is missing, wrong or expired.", true],
  [3003, "Forbidden", "Who you are is known, and this is not allowed to you.", true],
  [3008, "Timeout", "The other end took too long.", true],
];

/** What the numbers without a row mean: first, last, meaning, and whether a client connects again (rupor's convention). */
const RANGES = [
  [3000, 3499, "A library’s own code. By rupor’s convention the client connects again.", true],
  [3500, 3999, "A library’s own code. By rupor’s convention the client stays away.", false],
  [4000, 4499, "The application’s own code. By rupor’s convention the client connects again.", true],
  [4500, 4999, "The application’s own code. By rupor’s convention the client stays away.", false],
  [1016, 2999, "Kept for WebSocket itself and its extensions.", false],
];

function rowOf(code) {
  return CLOSE_CODES.find(([known]) => known === code);
}

function rangeOf(code) {
  return RANGES.find(([first, last]) => code >= first && code <= last);
}

/** What a close code means, whatever the number. */
export function meaningOf(code) {
  const row = rowOf(code);
  return row ? `${row[1]}. ${row[2]}` : rangeOf(code)?.[2] ?? "Not a close code.";
}

/** May a page call `socket.close(code)` with it? (HTML Standard: 1000 and 3000 to 4999.) */
export function mayBeSentByPage(code) {
  return Number.isInteger(code) && (code === 1000 || (code >= 3000 && code <= 4999));
}

/** Does a client that was closed with it connect again? */
export function reconnects(code) {
  return (rowOf(code) ?? rangeOf(code))?.[3] ?? false;
}
