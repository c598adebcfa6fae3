// Close codes: their names in the IANA registry "WebSocket Close Code Number Registry", and what they mean to somebody who
// looks at one. The server has the same table in crates/proto; a test there compares the two.

/** @type {ReadonlyArray<readonly [code: number, name: string, meaning: string]>} */
export const CLOSE_CODES = [
  [1000, "Normal Closure", "Done: the purpose of the connection is fulfilled."],
  [1001, "Going Away", "The server is shutting down, or the page was left."],
  [1002, "Protocol Error", "A frame broke the rules of RFC 6455."],
  [1003, "Unsupported Data", "A kind of message that this end does not take, such as binary."],
  [1004, "Reserved", "Has no meaning; must not be used."],
  [1005, "No Status Received", "The close frame carried no code. Never sent; the browser says so."],
  [1006, "Abnormal Closure", "The connection ended, or never opened, without a close frame. Never sent; the browser says so."],
  [1007, "Invalid Payload Data", "A message did not fit its type: text that is not UTF-8."],
  [1008, "Policy Violation", "Against a rule of this server: a limit, a right, a deadline."],
  [1009, "Message Too Big", "A message was larger than the other end takes."],
  [1010, "Mandatory Extension", "The client needed an extension that the server did not agree to."],
  [1011, "Internal Error", "Something unexpected went wrong in the server."],
  [1012, "Service Restart", "The server restarts; connect again, after a random delay."],
  [1013, "Try Again Later", "The server is overloaded; connect again later."],
  [1014, "Bad Gateway", "A gateway got an invalid answer from the server behind it."],
  [1015, "TLS Handshake Failed", "No TLS connection came about. Never sent; the browser says so."],
  [3000, "Unauthorized", "Who you are was not proved: a token is missing, wrong or expired."],
  [3003, "Forbidden", "Who you are is known, and is not allowed this."],
  [3008, "Timeout", "The other end took too long."],
];

/** What a close code means, for every number there is. */
export function meaningOf(code) {
  const known = CLOSE_CODES.find(([number]) => number === code);
  if (known) return `${known[1]}: ${known[2]}`;
  if (code >= 4000 && code <= 4999) return "Private: the application gave it a meaning of its own.";
  if (code >= 3000 && code <= 3999) return "For libraries and frameworks; not one that is registered.";
  if (code >= 1016 && code <= 2999) return "Reserved for WebSocket and its extensions.";
  return "Not a close code.";
}

/** May `socket.close(code)` be called with it? (HTML Standard: 1000 and 3000 to 4999.) */
export function mayBeSentByPage(code) {
  return Number.isInteger(code) && (code === 1000 || (code >= 3000 && code <= 4999));
}

/** Does connecting again make sense after it, or would it end the same way? */
export function worthRetrying(code) {
  return ![1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003].includes(code);
}
