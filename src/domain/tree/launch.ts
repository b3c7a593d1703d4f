import type { Hands } from '../../guest/hands/hands.js';
import { SYS } from '../../guest/hands/syscalls.js';
import { type Anchor, createAnchor, type DomainSpec } from './anchor.js';
import { DomainError } from '../errors.js';
import { inTurn } from '../in-turn.js';
import { PTRACE, SIG, WNOHANG } from '../linux/flags.js';
import { closeAll } from '../linux/making.js';
import { check } from '../linux/os.js';
import { beginData, beginRoot } from '../mounts/own-root.js';
import { cloneArgs } from '../trace/clone.js';
import { makeFolders } from './folders.js';
import { closeEnds, makeInput, makeTerminal } from './host-ends.js';
import { addSurroundings, checkProgram, type HostStreams, type Program } from './program.js';
import { PROGRAM } from '../trace/runner.js';
import { SyscallRunner } from '../trace/running.js';
import { parseStatus, Tracee } from '../trace/tracee.js';
import { Undo } from '../undo.js';

export type { Program } from './program.js';

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
  checkProgram(program);
  const undo = new Undo();
  try {
    const anchor = await createAnchor(hands, spec, { monotonic: 0n, boottime: 0n }, [], undo);
    undo.add("closing the host's ends", () => closeEnds(anchor));
    if (spec.layer === true) await beginRoot(anchor, spec.root ?? '/');
    if (spec.data !== undefined) await beginData(anchor, spec.data);
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

/** Environment of a program that is told none. */
const ENVIRONMENT = { PATH: '/usr/bin:/usr/sbin:/bin:/sbin', HOME: '/' };
/** Id of what runs before the program. */
const BEFORE = 300;
/** How often one looks whether it has ended (ms), and for how long. */
const LOOK = 20;
const PATIENCE = 120_000;

/** Has the anchor beget a process that executes the program, in a session of its own, and lets it run. */
async function startProgram(anchor: Anchor, program: Program): Promise<void> {
  const env = program.env ?? ENVIRONMENT;
  const { output, errors } = program;
  const before = async (argv: readonly [string, ...string[]]): Promise<void> => {
    const to = { ...(output !== undefined && { output }), ...(errors !== undefined && { errors }) };
    await start(anchor, { argv, env, ...to }, BEFORE);
    await awaitSuccess(anchor, argv[0]);
  };
  await makeFolders(anchor, program.folders ?? [], before);
  for (const argv of program.before ?? []) await before(argv);
  const { tty, stdin = false, user } = program;
  const terminal = tty === undefined ? undefined : await makeTerminal(anchor, tty, user?.uid ?? 0);
  const input = stdin && tty === undefined ? await makeInput(anchor) : undefined;
  try {
    const host = { ...(terminal !== undefined && { terminal }), ...(input !== undefined && { input }) };
    await start(anchor, { ...program, env }, PROGRAM, host);
  } finally {
    if (input !== undefined) await closeAll(anchor.hands, [input]);
  }
}

async function start(anchor: Anchor, program: Program, setTid: number, host: HostStreams = {}): Promise<void> {
  const { hands } = anchor;
  const t = anchor.tracee.batch();
  const args = cloneArgs(t, { flags: 0n, exitSignal: SIG.CHLD, setTid });
  const pid = t.call(SYS.clone3, args, args.length);
  check((await t.run()).value(pid), 'making a process');
  const [born] = anchor.tracee.born;
  if (born === undefined) throw new DomainError('lost', 'the new process was not announced');
  const child = new Tracee(hands, born, new SyscallRunner(hands, anchor.tracee.area));
  await child.awaitStop();

  const c = child.batch();
  const surrounded = addSurroundings(c, program, host);
  surrounded(await c.run());

  // execve does not come back to the runner: its success is an event.
  const e = child.batch();
  const vector = (texts: readonly string[]) => {
    const pointers = e.bytes(new Uint8Array(8 * (texts.length + 1)));
    texts.forEach((text, i) => e.pointer(pointers, 8 * i, e.str(text)));
    return pointers;
  };
  const env = Object.entries(program.env ?? {}).map(([k, v]) => `${k}=${v}`);
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

/** Waits for what runs before the program, not for orphans that it leaves. Throws `guest` unless it ended with status 0. */
async function awaitSuccess(anchor: Anchor, name: string): Promise<void> {
  for (const end = performance.now() + PATIENCE; performance.now() < end;) {
    const t = anchor.tracee.batch();
    const status = t.out(8);
    const waited = t.call(SYS.wait4, BEFORE, status, WNOHANG, 0);
    const r = await t.run();
    if (check(r.value(waited), `waiting for ${name}`) === 0) {
      await new Promise((resolve) => setTimeout(resolve, LOOK));
      continue;
    }
    const { kind, value } = parseStatus(r.view(status).getInt32(0, true));
    if (kind === 'exited' && value === 0) return;
    const how = kind === 'exited' ? 'status' : 'signal';
    throw new DomainError('guest', `${name}, which prepares the domain, ended with ${how} ${value}`);
  }
  throw new DomainError('guest', `${name}, which prepares the domain, does not end`);
}
