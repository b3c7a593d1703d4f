// Commands that the tests use, and the Debian packages they come in. What is missing is installed when we are root;
// otherwise the line that installs it is printed.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const PACKAGES = [
  { package: 'qemu-user-static', command: 'qemu-riscv64-static', for: 'the reference of the differential tests' },
  { package: 'gcc-riscv64-linux-gnu', command: 'riscv64-linux-gnu-gcc', for: 'test programs' },
  { package: 'libc6-dev-riscv64-cross', file: '/usr/riscv64-linux-gnu/lib/libc.a', for: 'test programs' },
  { package: 'binutils', command: 'readelf', for: 'a second opinion on ELF files' },
  { package: 'xz-utils', command: 'xz', for: 'a second opinion on xz streams' },
  { package: 'redis-server', command: 'redis-server', for: 'high-water marks of sessions in a real server' },
  { package: 'python3', command: 'python3', for: 'an independent implementation of the session format' },
  { package: 'bsdutils', command: 'script', for: 'a pseudo terminal for "understudy run"' },
  { package: 'dpkg', command: 'dpkg-deb', for: 'unpacking the guests’ packages' },
];

const onPath = (command) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)));
const isThere = ({ command, file }) => (command === undefined ? existsSync(file) : onPath(command));

const missing = PACKAGES.filter((p) => !isThere(p));
if (missing.length > 0) {
  const install = ['install', '-y', '--no-install-recommends', ...missing.map((p) => p.package)];
  const line = `apt-get update && apt-get ${install.join(' ')}`;
  for (const p of missing) console.error(`missing: ${p.package}, for ${p.for}`);
  if (process.getuid?.() !== 0 || !onPath('apt-get')) {
    console.error(`\nThe tests need these packages. As root:\n\n  ${line}\n`);
    process.exit(1);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Standard output is the tests'.
  const stdio = ['ignore', process.stderr, process.stderr];
  spawnSync('apt-get', ['update'], { stdio, env });
  const { status } = spawnSync('apt-get', install, { stdio, env });
  const still = PACKAGES.filter((p) => !isThere(p));
  if (still.length > 0) {
    console.error(`apt-get ended with ${status}; still missing: ${still.map((p) => p.package).join(' ')}`);
    process.exit(1);
  }
}
