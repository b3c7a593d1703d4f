/** The command line of `understudy domain`. */
import { isName, type DomainRequest } from '../control/protocol.js';
import { parseCount, parseForward, parseSize } from '../run-options.js';
import { parseCommandLine, UsageError } from '../usage.js';
import { parseEnv, parseLimits } from './values.js';

export const DOMAIN_USAGE = `Usage: understudy domain COMMAND [options]

Programs as process domains: each with namespaces of its own in an OS instance, and able to move, running, to another
with another kernel. "serve" is the machine that they run on; the others speak to it from another terminal.

  serve --name NAME           a machine that carries domains, until Ctrl-C
    --kernel KERNEL           of its first OS instance: trixie (the default), backports, or a release
    --tree NAME               a tree ("understudy images build") that domains may have as their root; may be given
                              several times
    --image IMAGE             the instances' own user space: shell (the default) or redis
    --memory SIZE             of each of its two OS instances; 512M unless told
  run [options] -- PROGRAM ARGS
                              starts a program as a domain; its input and output are ours, and its exit status too.
                              Ctrl-C stops it
    --name NAME               what to call it; the program's name unless told
    --tree NAME               its root is this tree, with /var, /run and /tmp of its own in memory
    --root DIR                its root is this folder of the OS instance
    --user USER[:GROUP]       by name or number
    --limit NAME=SOFT[:HARD]  such as nofile=4096; may be given several times
    --env NAME=VALUE          may be given several times
    --workdir DIR
    --network ADDRESS         a network card of its own, with this address: 10.0.2.100
    --forward [PROTOCOL:][ADDRESS:]PORT:ITSPORT
                              a port of this host that leads to it; PORT 0: any that is free
    --stdin, -i               what comes to our standard input is its standard input, to its end: so it is unless
                              --detach is told
    --tty, -t                 it gets a terminal, the size of ours; all that is typed goes to it, Ctrl-C too
    --detach                  it goes on when this command has ended
  ps                          the domains: where they are, since when, their processes, how they ended
  check NAME                  whether it could move, all that is in the way, and since when
  move NAME                   moves it to the other OS instance, which boots first if there is none
    --to KERNEL               trixie, backports, or a release; the other of the two unless told
  stop NAME                   SIGTERM, then SIGKILL for all that is left
    --timeout SECONDS         between the two; 10 unless told
  logs NAME                   the end of what it has written
    --follow                  and what it writes from now on

Options of all:
  --machine NAME              which machine, where several run
  --json                      JSON on standard output, an object a line
  --help
`;

export interface ServeOptions {
  readonly name: string;
  readonly kernel: string;
  readonly trees: readonly string[];
  readonly image: string;
  /** Bytes of each OS instance. */
  readonly memory: number;
  readonly json: boolean;
}

export type DomainOptions =
  | { readonly serve: ServeOptions }
  | {
      readonly serve?: never;
      readonly request: DomainRequest;
      readonly machine?: string;
      readonly json: boolean;
      /** A terminal of ours is to be the program's. */
      readonly tty: boolean;
    };

const OPTIONS = {
  name: { type: 'string' },
  kernel: { type: 'string' },
  tree: { type: 'string', multiple: true },
  image: { type: 'string' },
  memory: { type: 'string' },
  root: { type: 'string' },
  user: { type: 'string' },
  limit: { type: 'string', multiple: true },
  env: { type: 'string', multiple: true },
  workdir: { type: 'string' },
  network: { type: 'string' },
  forward: { type: 'string', multiple: true },
  detach: { type: 'boolean' },
  stdin: { type: 'boolean', short: 'i' },
  tty: { type: 'boolean', short: 't' },
  to: { type: 'string' },
  timeout: { type: 'string' },
  follow: { type: 'boolean' },
  machine: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Values = ReturnType<typeof read>['values'];

/** Options that go with each command, beside those of all. */
const TAKES = {
  serve: ['name', 'kernel', 'tree', 'image', 'memory'],
  run: ['name', 'tree', 'root', 'user', 'limit', 'env', 'workdir', 'network', 'forward', 'detach', 'stdin', 'tty'],
  ps: [],
  check: ['to'],
  move: ['to'],
  stop: ['timeout'],
  logs: ['follow'],
} as const satisfies Readonly<Record<string, readonly (keyof Values)[]>>;
type Command = keyof typeof TAKES;

const read = (args: string[]) => parseCommandLine({ args, options: OPTIONS, allowPositionals: true });
const isCommand = (text: string): text is Command => Object.hasOwn(TAKES, text);

/** Throws UsageError. */
export function parseDomainOptions(args: string[]): DomainOptions | 'help' {
  // What follows "--" is the program's, whatever it looks like.
  const at = args.indexOf('--');
  const program = at < 0 ? [] : args.slice(at + 1);
  const { values, positionals } = read(at < 0 ? args : args.slice(0, at));
  if (values.help === true) return 'help';
  const [command, ...rest] = positionals;
  if (command === undefined) throw new UsageError(`what is to be done? There are ${Object.keys(TAKES).join(', ')}`);
  if (!isCommand(command)) {
    throw new UsageError(`there is no "domain ${command}"; there are ${Object.keys(TAKES).join(', ')}`);
  }
  const allowed: readonly string[] = ['json', ...(command === 'serve' ? [] : ['machine']), ...TAKES[command]];
  const wrong = Object.keys(values).find((name) => !allowed.includes(name));
  if (wrong !== undefined) throw new UsageError(`"domain ${command}" takes no --${wrong}`);
  const { machine, json = false } = values;
  if (machine !== undefined && !isName(machine)) throw new UsageError(`--machine ${machine}: that is no name`);
  if (command !== 'run' && program.length > 0) throw new UsageError(`"domain ${command}" takes no program`);
  if (command === 'serve') {
    if (rest[0] !== undefined) throw new UsageError(`"domain serve" takes no ${rest[0]}`);
    return { serve: serveOptions(values, json) };
  }
  const request = command === 'run' ? runRequest(values, [...rest, ...program]) : requestOf(command, rest, values);
  const tty = values.tty === true;
  if (tty && json) throw new UsageError('--tty shows what the program shows, and no --json');
  return { request, json, tty, ...(machine !== undefined && { machine }) };
}

function serveOptions(values: Values, json: boolean): ServeOptions {
  const { name, kernel = 'trixie', tree: trees = [], image = 'shell', memory = '512M' } = values;
  if (name === undefined) throw new UsageError('"domain serve" wants --name NAME: the others reach it under that');
  if (!isName(name)) throw new UsageError(`--name ${name}: letters, digits and -_. only`);
  return { name, kernel, trees, image, memory: parseSize('memory', memory), json };
}

function runRequest(values: Values, argv: readonly string[]): DomainRequest {
  const { stdin = false, tty = false } = values;
  const { name, tree = [], root, user, limit, env, workdir: cwd, network: address, forward, detach = false } = values;
  if (argv.length === 0) throw new UsageError('"domain run" wants a program: -- PROGRAM ARGS');
  if (tree.length > 1) throw new UsageError('--tree: a domain has one root');
  if (tree.length > 0 && root !== undefined) throw new UsageError('either --tree or --root');
  if (name !== undefined && !/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name)) {
    throw new UsageError(`--name ${name}: letters, digits, - and _ only`);
  }
  if (name !== undefined && !isName(name)) {
    throw new UsageError(`--name ${name.slice(0, 20)}…: at most 63 characters, not ${name.length}`);
  }
  if (detach && (stdin || tty)) throw new UsageError(`--${stdin ? 'stdin' : 'tty'}: with --detach nobody would type`);
  if (forward !== undefined && address === undefined) {
    throw new UsageError('--forward leads to an address: --network gives the domain one');
  }
  // The machine parses them again; here they are only to make sense.
  parseEnv(env ?? []);
  parseLimits(limit ?? []);
  for (const text of forward ?? []) parseForward(text);
  return {
    ...{ do: 'domain-run', argv, detach },
    ...(!detach && { stdin: true }),
    ...(name !== undefined && { name }),
    ...(tree[0] !== undefined && { tree: tree[0] }),
    ...(root !== undefined && { root }),
    ...(user !== undefined && { user }),
    ...(limit !== undefined && { limits: limit }),
    ...(env !== undefined && { env }),
    ...(cwd !== undefined && { cwd }),
    ...(address !== undefined && { address }),
    ...(forward !== undefined && { forwards: forward }),
  };
}

function requestOf(command: Exclude<Command, 'serve' | 'run'>, rest: readonly string[], values: Values): DomainRequest {
  const [name, more] = rest;
  if (command === 'ps') {
    if (name !== undefined) throw new UsageError(`"domain ps" takes no ${name}`);
    return { do: 'domain-ps' };
  }
  if (name === undefined) throw new UsageError(`"domain ${command}" wants the name of a domain`);
  if (!isName(name)) throw new UsageError(`${name}: that is no name of a domain`);
  if (more !== undefined) throw new UsageError(`"domain ${command}" takes no ${more}`);
  const kernel = values.to === undefined ? {} : { kernel: values.to };
  switch (command) {
    case 'check':
      return { do: 'domain-check', name, ...kernel };
    case 'move':
      return { do: 'domain-move', name, ...kernel };
    case 'logs':
      return { do: 'domain-logs', name, follow: values.follow === true };
    case 'stop': {
      const { timeout } = values;
      return {
        do: 'domain-stop',
        name,
        ...(timeout !== undefined && { timeout: parseCount('timeout', timeout, 0, 3600) * 1000 }),
      };
    }
  }
}
