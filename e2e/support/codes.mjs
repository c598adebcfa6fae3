// Prints docs/reference/codes.md, made from the tables in code and from the pages that the code's own tests hold:
//
//   node e2e/support/codes.mjs > docs/reference/codes.md

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { repository } from './program.mjs';

const read = (path) => readFileSync(repository(path), 'utf8');

/** `{ code, name, meaning, again }` of every close code that the gateway has a row for. */
export function closeCodes() {
  const protocol = [...read('crates/proto/src/close.rs').matchAll(/^\s+(\d{4}) => row\("([^"]+)",\s*(true|false),\s*(true|false)\)/gm)]
    .map(([, code, meaning, , again]) => ({ code: Number(code), name: '', meaning, again: again === 'true' }));
  const own = [...read('crates/rupor/src/gateway/close.rs').matchAll(/^ {4}\w+\s*= (\d{4}), "(\w+)",\s*(true|false),\s*"([^"]+)";/gm)]
    .map(([, code, name, again, meaning]) => ({ code: Number(code), name, meaning, again: again === 'true' }));
  const [, slow] = /\| 3008 \| \| ([^|]+) \|/.exec(read('docs/reference/rupor-v1.md'));
  const rows = new Map(protocol.map((row) => [row.code, row]));
  for (const row of [...own, { code: 3008, name: '', meaning: slow.trim(), again: true }]) rows.set(row.code, row);
  return [...rows.values()].sort((a, b) => a.code - b.code);
}

/** The error codes of a page's table under a heading or after a sentence, with what they mean. */
function errors(path, after) {
  const text = read(path);
  const table = text.slice(text.indexOf(after) + after.length).trimStart().split('\n\n').find((part) => part.startsWith('| code '));
  return table.split('\n').slice(2).filter(Boolean).flatMap((row) => {
    const [, codes, meaning, status] = row.split('|').map((cell) => cell.trim());
    return [...codes.matchAll(/`(\w+)`/g)].map(([, code]) => ({ code, meaning, status: status || '' }));
  });
}

/** Codes of the HTTP API that come before an object is looked at, with their status. */
function refusals() {
  const text = read('docs/reference/inlets.md');
  const sentence = text.slice(text.indexOf('Refused before the object is looked at:')).split('\n\n')[0].replaceAll('\n', ' ');
  return [...sentence.matchAll(/(\d{3}) ((?:`\w+`(?: and )?)+)/g)].flatMap(([, status, codes]) =>
    [...codes.matchAll(/`(\w+)`/g)].map(([, code]) => ({ code, status })));
}

/** The whole page. */
export function page() {
  const close = closeCodes().map(({ code, name, meaning, again }) => `| ${code} | ${name && `\`${name}\``} | ${meaning} | ${again ? 'yes' : 'no'} |`);
  const site = errors('docs/reference/inlets.md', '`error` is for people, `code` for programs:');
  const browser = errors('docs/reference/rupor-v1.md', '## Errors');
  const row = ({ code, meaning, status }) => `| \`${code}\` | ${meaning} | ${status} |`;
  return `# Codes

One list of the numbers and words that programs may rely on. Made from the tables in code by \`e2e/support/codes.mjs\`; a test compares. Texts beside
them are for people and may change.

## Close codes

Why a connection ended, and whether a client connects again, after a pause. In the ranges that are free, 3000 to 3499 and 4000 to 4499 mean
again, 3500 to 3999 and 4500 to 4999 stay away. Codes from 4000 are your site's and your handlers'.

| code | name | meaning | again? |
|---|---|---|---|
${close.join('\n')}

1005, 1006 and 1015 are never sent: a client reports them of itself.

## Errors that a site gets

In answers of [lines and the HTTP API](inlets.md), as \`code\`, with the API's status:

| code | meaning | HTTP |
|---|---|---|
${site.map(row).join('\n')}

The HTTP API alone, before the object is looked at ([as OpenAPI](openapi.json)):

| code | HTTP |
|---|---|
${refusals().map(({ code, status }) => `| \`${code}\` | ${status} |`).join('\n')}

\`Rupor\\Client\` has four of its own, where no answer came: \`unreachable\`, \`too_late\`, \`unsupported\`, \`bad_answer\`.

## Errors that a browser gets

In \`error\` of [rupor.v1](rupor-v1.md#errors), as \`code\`:

| code | meaning |
|---|---|
${browser.map(({ code, meaning }) => `| \`${code}\` | ${meaning} |`).join('\n')}
`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.stdout.write(page());
