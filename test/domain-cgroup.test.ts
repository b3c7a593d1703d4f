import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DomainError } from '../src/domain/errors.js';
import { writeText } from '../src/domain/linux/os.js';
import { kindPrograms, pathOf, startKind, verdict, bury } from './domain/kind-programs.js';
import { Stage } from './domain/stage.js';

const [PROGRAM] = kindPrograms(['hostname']);
let stage: Stage;
before(async () => {
  assert.ok(PROGRAM);
  stage = await Stage.open({ [pathOf(PROGRAM)]: { data: PROGRAM.executable, mode: 0o755 } });
});
after(() => stage?.close());

test('a process that is in another cgroup than the domain is refused by name, and comes along when it is back', async () => {
  assert.ok(PROGRAM);
  let domain = await startKind(stage, PROGRAM);
  const { hands, anchor } = domain;
  const pid = (await anchor.cgroup.processes()).find((p) => p !== anchor.pid) ?? -1;
  assert.equal(await writeText(hands, '/sys/fs/cgroup/cgroup.procs', String(pid)), 0);
  await assert.rejects(
    stage.move(domain),
    (e) => e instanceof DomainError && e.resource === "a cgroup outside of the domain's",
  );
  assert.equal(await writeText(hands, `${anchor.cgroup.path}/cgroup.procs`, String(pid)), 0);
  ({ domain } = await stage.move(domain));
  assert.equal(await verdict(domain), 'right');
  await bury(domain);
});
