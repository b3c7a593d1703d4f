// Writes docs/reference out of the compiled types, a page for each entry point, and the table of kinds: npm run reference
// With --check it writes nothing, and fails where a page is not as it would write it, or something is missing.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { faults, readApi } from './api.mjs';
import { tableOfKinds } from './kinds.mjs';
import { pageName, renderPage } from './page.mjs';

const FOLDER = 'docs/reference';
const check = process.argv.includes('--check');
const wrong = [];

const api = readApi();
wrong.push(...faults(api));
const pages = new Map(api.map((entry) => [pageName(entry.path), renderPage(entry)]));
if (!check) mkdirSync(FOLDER, { recursive: true });
const there = existsSync(FOLDER) ? readdirSync(FOLDER) : [];
for (const name of there.filter((n) => !pages.has(n))) {
  if (check) wrong.push(`${FOLDER}/${name} is of no entry point: npm run reference`);
  else rmSync(join(FOLDER, name));
}
for (const [name, text] of pages) {
  const path = join(FOLDER, name);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
  if (check) wrong.push(`${path} is not current: npm run reference`);
  else writeFileSync(path, text);
}
wrong.push(...(await tableOfKinds(check)));
for (const line of wrong) console.error(line);
if (wrong.length > 0) process.exitCode = 1;
