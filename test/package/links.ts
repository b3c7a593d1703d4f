/** Links in Markdown that lead nowhere. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** Text outside of code: fences and spans hold no links. */
function prose(markdown: string): string {
  return markdown.replace(/^(```|~~~)[^]*?^\1/gm, '').replace(/`[^`\n]*`/g, 'code');
}

/** The anchors of a page's headings, by GitHub's rule: small letters, no punctuation, dashes for spaces, numbers for doubles. */
export function anchors(markdown: string): Set<string> {
  const found = new Map<string, number>();
  const names = new Set<string>();
  for (const [, heading] of markdown.replace(/^(```|~~~)[^]*?^\1/gm, '').matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const slug = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-');
    const count = found.get(slug) ?? 0;
    found.set(slug, count + 1);
    names.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return names;
}

/** Every Markdown file below a folder, by path from it; packages that are installed there are not looked into. */
export function markdownFiles(root: string): string[] {
  return readdirSync(root, { withFileTypes: true })
    .flatMap((entry) => {
      if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name.startsWith('.')) return [];
      if (entry.isDirectory()) return markdownFiles(join(root, entry.name)).map((path) => join(entry.name, path));
      return entry.name.endsWith('.md') ? [entry.name] : [];
    })
    .sort();
}

/** `page: link` for each relative link of the pages below `root` whose file, or whose heading, does not exist there. */
export function deadLinks(root: string): string[] {
  const dead: string[] = [];
  for (const page of markdownFiles(root)) {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [, link] of prose(text).matchAll(/\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor] = link.split('#');
      const target = path === '' ? join(root, page) : resolve(root, dirname(page), path);
      const inside = !relative(root, target).startsWith('..');
      if (!inside || !existsSync(target)) dead.push(`${page}: ${link}`);
      else if (
        anchor !== undefined &&
        (!statSync(target).isFile() || !anchors(readFileSync(target, 'utf8')).has(anchor))
      )
        dead.push(`${page}: ${link}`);
    }
  }
  return dead;
}
