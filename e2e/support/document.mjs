// Code blocks of a document, by the marks before them: `<!-- run: KIND -->`, `<!-- file: PATH -->`, `<!-- append: PATH -->`.

import { readFileSync } from 'node:fs';

import { repository } from './program.mjs';

/** All blocks after this mark, such as `run: shell`. */
export function blocks(path, mark) {
  const exactly = mark.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = new RegExp(`<!-- ${exactly} -->\n\`\`\`\\w+\n([^]*?)\`\`\``, 'g');
  return [...readFileSync(repository(path), 'utf8').matchAll(pattern)].map((found) => found[1]);
}

/** The one block after this mark. */
export function block(path, mark) {
  const found = blocks(path, mark);
  if (found.length !== 1) throw new Error(`${found.length} blocks after <!-- ${mark} --> in ${path}`);
  return found[0];
}
