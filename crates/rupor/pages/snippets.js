// The same publication, spelled for PHP, curl, nc and a page. Pure functions: settings and what was typed in, text out.
//
// Whatever is typed comes out as data, never as code, in sh, bash, zsh and fish and in PHP:
// - JSON for a shell stands in single quotes and holds neither a quote nor a double backslash (the only two things that are
//   special there, the second one in fish): it spells them \u0027 and \u005c.
// - PHP for `php -r` does the same with \x27 and \x5c in double-quoted strings.
// - Control characters, direction marks and the like are written as escapes, so that what is pasted is what is seen.

/** Text as a well-formed string: half a surrogate pair has no UTF-8. */
export function wellFormed(text) {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

// Characters that a terminal or an editor obeys or hides instead of showing.
const UNSEEN = /[\p{Cc}\p{Cf}\u2028\u2029]/u;
const EACH_UNSEEN = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** JSON in ASCII where it must be, readable elsewhere. */
export function json(value) {
  return JSON.stringify(value).replace(EACH_UNSEEN, (character) => {
    let escaped = "";
    for (let i = 0; i < character.length; i += 1) {
      escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
    }
    return escaped;
  });
}

/** JSON as one word of a shell command. */
export function shellJson(value) {
  const text = json(value)
    .replace(/\\(.)/g, (escape, what) => (what === "\\" ? "\\u005c" : escape))
    .replaceAll("'", "\\u0027");
  return `'${text}'`;
}

/** Any text as one word of a shell command. */
export function shellWord(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A PHP string literal, single-quoted when that can be read. */
export function phpString(text) {
  if (UNSEEN.test(text)) return phpDoubleQuoted(text, "\\\\", "'");
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

/** A PHP string literal that may stand between a shell's single quotes. */
export function phpStringInShell(text) {
  return phpDoubleQuoted(text, "\\x5c", "\\x27");
}

function phpDoubleQuoted(text, backslash, quote) {
  const inside = text
    .replaceAll("\\", backslash)
    .replace(/["$]/g, "\\$&")
    .replaceAll("'", quote)
    .replace(EACH_UNSEEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
  return `"${inside}"`;
}

/** Where PHP's stream_socket_client finds the inlet. */
function phpAddress(inlet) {
  if (inlet.kind === "unix") return `unix://${inlet.path}`;
  return `tcp://${inlet.host.includes(":") ? `[${inlet.host}]` : inlet.host}:${inlet.port}`;
}

/** The article's two lines, as a script. */
export function phpScript({ inlet, user, message }) {
  return [
    "<?php",
    `$socket = stream_socket_client(${phpString(phpAddress(inlet))});`,
    `fwrite($socket, json_encode(['user' => ${phpString(user)}, 'message' => ${phpString(message)}]) . "\\n");`,
  ].join("\n");
}

/** The same without a file. */
export function phpCommand({ inlet, user, message }) {
  const address = phpStringInShell(phpAddress(inlet));
  const fields = `"user" => ${phpStringInShell(user)}, "message" => ${phpStringInShell(message)}`;
  return `php -r 'fwrite(stream_socket_client(${address}),\n  json_encode([${fields}]) . "\\n");'`;
}

/**
 * A line from the shell. Not `echo`: in dash and zsh that reads backslashes its own way.
 * `-w 1` ends nc a second after its input did; every nc has it.
 */
export function ncCommand({ inlet, user, message }) {
  const to = inlet.kind === "unix" ? `-U ${shellWord(inlet.path)}` : `${shellWord(inlet.host)} ${inlet.port}`;
  return `printf '%s\\n' ${shellJson({ user, message })} |
  nc -w 1 ${to}`;
}

/** The HTTP way in. In demo mode a certificate is one for trying things out, which nobody vouches for: -k. */
export function curlCommand({ origin, apiKey, user, message }) {
  return [
    `curl ${origin.startsWith("https:") ? "-k " : ""}${shellWord(`${origin}/api/publish`)} \\`,
    `  -H ${shellWord(`Authorization: Bearer ${apiKey}`)} \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d ${shellJson({ user, message })}`,
  ].join("\n");
}

/** Where a page of that user connects. */
export function listenAddress({ origin, user }) {
  return `${origin.replace(/^http/, "ws")}/?user=${encodeURIComponent(user)}`;
}

/** A whole page that listens. encodeURIComponent leaves nothing that could end the string or the script. */
export function listenerPage({ origin, user }) {
  return [
    "<!doctype html>",
    "<pre id=\"out\"></pre>",
    "<script>",
    `  new WebSocket("${listenAddress({ origin, user })}").onmessage = (event) => { out.append(event.data, "\\n"); };`,
    "</script>",
  ].join("\n");
}
