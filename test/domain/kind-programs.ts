/** Programs that each hold one kind of thing (test/programs/kinds): moved there and back, and asked whether all is right. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../../src/domain/errors.js';
import { readText } from '../../src/domain/linux/os.js';
import { launch, type RunningDomain } from '../../src/domain/tree/launch.js';
import { SYS } from '../../src/guest/hands/syscalls.js';
import { compile } from '../testing/compile.js';
import type { Stage } from './stage.js';

const SOURCES = 'test/programs/kinds';
const SIGTERM = 15;
/** Milliseconds that a program has to get ready, and to find whether all is right. */
const PATIENCE = 20_000;

export interface KindProgram {
  readonly name: string;
  readonly executable: Uint8Array;
  /** What the program's first lines say of it: see kind.h. */
  readonly refused: RegExp | undefined;
  /** Only who traces it can tell that it is to be refused: after the freeze, then. */
  readonly late: boolean;
  readonly hops: number;
  /** Steps at which moves fail before it is moved at last. */
  readonly fails: readonly string[];
  /** What its domain is besides: `layer: yes`, `data: /data`. */
  readonly own: { readonly layer?: boolean; readonly data?: string };
}

/** All programs, or those whose names hold one of `only`. */
export function kindPrograms(only?: readonly string[]): KindProgram[] {
  const names = readdirSync(SOURCES)
    .filter((f) => f.endsWith('.c'))
    .map((f) => f.slice(0, -2))
    .filter((name) => only === undefined || only.some((o) => name.includes(o)))
    .sort();
  const executables = compile(SOURCES, names);
  return names.map((name) => {
    const source = readFileSync(join(SOURCES, `${name}.c`), 'utf8');
    const said = (key: string): string | undefined => new RegExp(`^// ${key}: (.+)$`, 'm').exec(source)?.[1];
    const [refused, layer, data] = [said('refused'), said('layer'), said('data')];
    return {
      name,
      executable: executables[name] ?? new Uint8Array(0),
      late: /^\/\/ late$/m.test(source),
      refused: refused === undefined ? undefined : new RegExp(refused),
      hops: Number(said('hops') ?? 2),
      fails: said('fails')?.split(' ') ?? [],
      own: { ...(layer !== undefined && { layer: true, lingers: true }), ...(data !== undefined && { data }) },
    };
  });
}

export const pathOf = (program: KindProgram): string => `/opt/kinds/${program.name}`;
const outputOf = ({ spec, anchor }: RunningDomain): string =>
  `${spec.layer !== true ? '' : `/proc/${anchor.pid}/root`}/tmp/${spec.name}.out`;

/** Starts a program in a domain; answers when it is ready, or at once. */
export async function startKind(stage: Stage, program: KindProgram, whenReady = true): Promise<RunningDomain> {
  const name = `kind-${program.name}`;
  const domain = await launch(
    stage.sides[0].hands,
    { name, ...program.own },
    { argv: [pathOf(program)], output: `/tmp/${name}.out` },
  );
  if (whenReady) await getReady(domain);
  return domain;
}

async function getReady(domain: RunningDomain): Promise<void> {
  assert.equal(await said(domain, /^(ready|broken.*)$/m), 'ready');
}

/** The first line that matches of what the domain has written. */
async function said(domain: RunningDomain, line: RegExp): Promise<string> {
  let text = '';
  for (const end = performance.now() + PATIENCE; performance.now() < end;) {
    text = (await readText(domain.hands, outputOf(domain))) ?? '';
    const found = line.exec(text)?.[0];
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return `nothing but ${JSON.stringify(text)}`;
}

/** Tells the program that it has been moved, when it is ready, and answers what it finds. */
export async function verdict(domain: RunningDomain): Promise<string> {
  await getReady(domain);
  for (const hostPid of await domain.anchor.cgroup.processes()) {
    const status = (await readText(domain.hands, `/proc/${hostPid}/status`)) ?? '';
    if (/^NSpid:.*\t2$/m.test(status)) await domain.hands.syscall(SYS.kill, hostPid, SIGTERM);
  }
  return said(domain, /^(right|broken.*)$/m);
}

export async function bury(domain: RunningDomain): Promise<void> {
  await domain.anchor.cgroup.kill();
  await domain.anchor.cgroup.remove();
  await domain.hands.syscall(SYS.close, domain.anchor.netns);
}

/** Moves a program as its source says, and holds it to what it finds. `failing`: also by moves that fail first. */
export async function proveKind(stage: Stage, program: KindProgram, failing: boolean): Promise<void> {
  let domain = await startKind(stage, program);
  try {
    for (const step of failing ? program.fails : []) {
      const failing = stage.move(domain, (s) => {
        if (s === step) throw new Error('injected');
      });
      await assert.rejects(failing, /injected/);
    }
    if (program.refused === undefined) {
      for (let hop = 0; hop < program.hops; hop++) ({ domain } = await stage.move(domain));
    } else {
      const steps: string[] = [];
      const name = program.refused;
      await assert.rejects(
        stage.move(domain, (s) => void steps.push(s)),
        (e) => e instanceof DomainError && name.test(e.resource ?? ''),
      );
      assert.equal(steps.includes('freeze'), program.late, `it was refused at ${steps.at(-1)}`);
    }
    assert.equal(await verdict(domain), 'right');
  } finally {
    await bury(domain);
  }
}
