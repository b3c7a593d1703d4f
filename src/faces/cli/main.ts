/** `understudy`: finds the subcommand and gives it its arguments. Each is loaded only when it is asked for. */
import { readFileSync } from 'node:fs';
import { dedicateProcess } from '../../adapters/node/tiering.js';
import { UsageError } from './usage.js';

const HELP = `Usage: understudy COMMAND [options]

64-bit RISC-V Linux inside a JavaScript process, and nothing that runs on it has to stop.

  demo       Redis keeps its clients while the kernel under it changes
  demo io    the monitor steps in between a guest and its devices, and away again, while they are in use
  demo partition
             who owns what of a computer, and what whoever probes it finds of that
  run        boots a Debian kernel, or one of yours, to a shell in this terminal
  io         devices of a running machine: who drives them; watch, limit, disturb, move, share
  domain     programs that move, running, to another kernel: runs, lists, checks, moves, stops them
  images     the guests' kernels and file systems: prepares, lists, removes them
  keys       the keys that seal sessions
  version    the version of Understudy
  help       this; "understudy COMMAND --help" tells more
`;

type Command = (args: string[]) => Promise<number>;

/** Each module's exit status: 0 done, 1 it failed, 2 the command line makes no sense, 128 + n ended by signal n. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.js')).demoCommand,
  run: async () => (await import('./run.js')).runCommand,
  io: async () => (await import('./io.js')).ioCommand,
  domain: async () => (await import('./domain.js')).domainCommand,
  images: async () => (await import('./images.js')).imagesCommand,
  keys: async () => (await import('./keys.js')).keysCommand,
  version: () => Promise.resolve(version),
  help: () => Promise.resolve(help),
};

/** Runs `understudy ARGS`; gives the exit status. */
export async function main(args: string[]): Promise<number> {
  dedicateProcess();
  const [first, ...rest] = args;
  if (first === undefined) {
    process.stderr.write(HELP);
    return 2;
  }
  const name = { '--help': 'help', '-h': 'help', '--version': 'version', '-V': 'version' }[first] ?? first;
  if (!Object.hasOwn(COMMANDS, name)) {
    process.stderr.write(`understudy: there is no command "${first}"\n\n${HELP}`);
    return 2;
  }
  try {
    return await (
      await COMMANDS[name]()
    )(rest);
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`understudy ${name}: ${error.message}\nunderstudy ${name} --help tells more\n`);
      return 2;
    }
    // Errors with a code are said for people; anything else is a mistake of ours and wants its stack.
    const known = error instanceof Error && 'code' in error;
    process.stderr.write(`understudy: ${known ? error.message : describe(error)}\n`);
    return 1;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function help(args: string[]): Promise<number> {
  if (args.length > 0) return main([...args, '--help']);
  process.stdout.write(HELP);
  return Promise.resolve(0);
}

function version(): Promise<number> {
  const file = readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8');
  const { version: number } = JSON.parse(file) as { version: string };
  process.stdout.write(`understudy ${number}\n`);
  return Promise.resolve(0);
}
