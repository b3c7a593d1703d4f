// Runs npm scripts one after the other, all of them even if one fails: node scripts/ci.mjs SCRIPT ...
// Says how long each took. Closes with "N passed, N failed" of all together.
import { closeWith, runCounted } from './run.mjs';

const all = [];
const times = [];
for (const script of process.argv.slice(2)) {
  const from = performance.now();
  const counts = await runCounted('npm', ['run', '--silent', script]);
  all.push(counts);
  const seconds = Math.round((performance.now() - from) / 1000);
  times.push(`npm run ${script}: ${counts.passed} passed, ${counts.failed} failed, ${seconds} s`);
}
console.log(`\n${times.join('\n')}`);
closeWith(all);
