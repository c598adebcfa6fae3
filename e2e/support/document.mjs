// Code blocks of a document, by the marks before them: `<!-- run: KIND -->`, `<!-- file: PATH -->`, `<!-- append: PATH -->`.

import { readFileSync } from 'node:fs';

import { repository } from './program.mjs';

const BLOCK = /(?:^ *<!-- (.+) -->\n)?^( *)```(.+)\n([^]*?)^ *```$/gm;

/** Every block of a page, in their order: the mark before it, its language, its code. */
export function all(path) {
  return [...readFileSync(repository(path), 'utf8').matchAll(BLOCK)].map(([, mark, indent, language, code]) => {
    return { path, mark, language, code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), '') };
  });
}

/** What stands on a page besides its blocks. */
export const prose = (path) => readFileSync(repository(path), 'utf8').replaceAll(BLOCK, '');

/** All blocks after this mark, such as `run: shell`. */
export const blocks = (path, mark) => all(path).filter((block) => block.mark === mark).map(({ code }) => code);

/** The one block after this mark. */
export function block(path, mark) {
  const found = blocks(path, mark);
  if (found.length !== 1) throw new Error(`${found.length} blocks after <!-- ${mark} --> in ${path}`);
  return found[0];
}
