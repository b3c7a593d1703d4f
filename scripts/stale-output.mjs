// Removes compiled files whose source is gone: they would go into the package, and imports of them would seem to work.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const OUT = 'dist';
for (const folder of ['src', 'test', 'bench', 'examples']) {
  const output = join(OUT, folder);
  if (!existsSync(output)) continue;
  for (const name of readdirSync(output, { recursive: true })) {
    const base = /^(.*)(?:\.js|\.js\.map|\.d\.ts)$/.exec(name)?.[1];
    if (base !== undefined && !existsSync(join(folder, `${base}.ts`))) rmSync(join(output, name));
  }
}
