import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { type Anchor, createAnchor, type DomainSpec } from './anchor.js';
import { DomainError } from '../errors.js';
import { inTurn } from '../in-turn.js';
import { AT_FDCWD, O, PTRACE, SIG } from '../linux/flags.js';
import { check } from '../linux/os.js';
import { cloneArgs } from '../trace/clone.js';
import { SyscallRunner } from '../trace/running.js';
import { Tracee } from '../trace/tracee.js';
import { Undo } from '../undo.js';

/** A program to run in a new domain. */
export interface Program {
  /** Path of the executable, then its arguments. */
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** File that takes standard output and error; default `/dev/null`. */
  readonly output?: string;
}

/** A domain running in an OS instance. */
export interface RunningDomain {
  readonly spec: DomainSpec;
  readonly hands: Hands;
  readonly anchor: Anchor;
}

/**
 * Starts a program in a domain of its own. Throws; then nothing of it is left.
 *
 *     const domain = await launch(hands, { name: 'redis' }, { argv: ['/usr/bin/redis-server', '--save', ''] });
 */
export function launch(hands: Hands, spec: DomainSpec, program: Program): Promise<RunningDomain> {
  // The hands enter namespaces and come back: what is launched or moved at the same time shall not find them there.
  return inTurn([hands], () => launchNow(hands, spec, program));
}

async function launchNow(hands: Hands, spec: DomainSpec, program: Program): Promise<RunningDomain> {
  const undo = new Undo();
  try {
    const anchor = await createAnchor(hands, spec, { monotonic: 0n, boottime: 0n }, [], undo);
    await startProgram(anchor, program);
    await anchor.becomeReaper();
    check(await hands.syscall(SYS.ptrace, PTRACE.DETACH, anchor.pid, 0, 0), 'letting the domain go');
    undo.forget();
    return { spec, hands, anchor };
  } catch (e) {
    await undo.run();
    throw e;
  }
}

/** Has the anchor beget a process that executes the program, in a session of its own, and lets it run. */
async function startProgram(anchor: Anchor, program: Program): Promise<void> {
  const { hands } = anchor;
  const t = anchor.tracee.batch();
  const args = cloneArgs(t, { flags: 0n, exitSignal: SIG.CHLD });
  const pid = t.call(SYS.clone3, args, args.length);
  check((await t.run()).value(pid), 'making a process');
  const [born] = anchor.tracee.born;
  if (born === undefined) throw new DomainError('lost', 'the new process was not announced');
  const child = new Tracee(hands, born, new SyscallRunner(hands, anchor.tracee.area));
  await child.awaitStop();

  const c = child.batch();
  const output = program.output ?? '/dev/null';
  const out = c.call(SYS.openat, AT_FDCWD, c.str(output), O.WRONLY | O.CREAT | O.APPEND | O.NOCTTY, 0o644);
  c.call(SYS.dup3, out, 1, 0);
  c.call(SYS.dup3, 1, 2, 0);
  const moved = c.call(SYS.chdir, c.str(program.cwd ?? '/'));
  c.call(SYS.setsid);
  c.call(SYS.close_range, 3, 0xffffffff, 0);
  const r = await c.run();
  check(r.value(out), `opening ${output}`);
  check(r.value(moved), `chdir to ${program.cwd ?? '/'}`);

  // execve does not come back to the runner: its success is an event.
  const e = child.batch();
  const vector = (texts: readonly string[]) => {
    const pointers = e.bytes(new Uint8Array(8 * (texts.length + 1)));
    texts.forEach((text, i) => e.pointer(pointers, 8 * i, e.str(text)));
    return pointers;
  };
  const env = Object.entries(program.env ?? { PATH: '/usr/bin:/usr/sbin:/bin:/sbin', HOME: '/' }).map(
    ([k, v]) => `${k}=${v}`,
  );
  e.call(SYS.execve, e.str(program.argv[0]), vector(program.argv), vector(env));
  const stop = await child.runUntilEvent(e, PTRACE.EVENT_EXEC);
  if (stop !== undefined) {
    const errno = stop.results[0] ?? 0n;
    throw new DomainError('guest', `cannot execute ${program.argv[0]}: errno ${-Number(errno)}`, {
      errno: -Number(errno),
    });
  }
  await child.setSignalMask(0n);
  check(await hands.syscall(SYS.ptrace, PTRACE.DETACH, child.tid, 0, 0), 'letting the program go');
}
