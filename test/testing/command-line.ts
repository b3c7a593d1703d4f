/** `understudy` as a process of its own, from the same build as the test. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const MAIN = new URL('../../src/faces/cli/main.js', import.meta.url).href;
const PROGRAM = `import { main } from ${JSON.stringify(MAIN)}; process.exitCode = await main(process.argv.slice(1));`;

/** Command and arguments that run `understudy ARGS`. */
export function understudyCommand(args: readonly string[]): [string, string[]] {
  return [process.execPath, ['--input-type=module', '-e', PROGRAM, '--', ...args]];
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: () => string;
  readonly finished: Promise<Finished>;
  /** Resolves when standard output or standard error holds a match. Rejects when the process ends before. */
  until(pattern: RegExp): Promise<void>;
}

export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  let notice: () => void = () => undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    notice();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    notice();
  });
  child.stdin.on('error', () => undefined);
  const finished = once(child, 'close').then(([status]) => ({ status: status as number | null, stdout, stderr }));
  return {
    child,
    output: () => stdout + stderr,
    finished,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(stdout) || pattern.test(stderr)) resolve();
        };
        notice = look;
        look();
        void finished.then(() => reject(new Error(`it ended before ${String(pattern)}:\n${stdout}\n${stderr}`)));
      }),
  };
}

/** Runs `understudy ARGS` to its end. */
export function understudy(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const running = start(...understudyCommand(args), env);
  running.child.stdin?.end();
  return running.finished;
}

/** The shell asks where the cursor is. */
export const PROMPT = /understudy:~# (?:\x1b\[6n)?$/;

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * `understudy ARGS` before a terminal of 100 by 30 characters; afterwards the terminal's modes are compared with those
 * before, which are kept in `folder`. `told`: its process id comes first, as `pid=…`.
 */
export function inTerminal(
  args: readonly string[],
  folder: string,
  { env = {}, told = false }: { env?: NodeJS.ProcessEnv; told?: boolean } = {},
): Running {
  const [node, nodeArgs] = understudyCommand(args);
  const teller = told ? ['sh', '-c', 'echo "pid=$$"; exec "$@"', 'sh'] : [];
  const line = [...teller, node, ...nodeArgs].map(quote).join(' ');
  const script = `stty rows 30 cols 100; stty -g > ${folder}/before; ${line}; echo "status=$?"; stty -g > ${folder}/after; cmp ${folder}/before ${folder}/after && echo terminal-restored`;
  return start('script', ['-qefc', script, '/dev/null'], { ...env, SHELL: '/bin/sh', TERM: 'linux' });
}
