import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../../errors.js';
import type { ProcessView } from '../../proc/survey.js';
import { seccomp } from './seccomp.js';

/** A process whose threads have so many filters, as a kernel says. */
const view = (...counts: number[]): ProcessView =>
  ({ pid: 2, threads: counts.map((seccompFilters) => ({ status: { seccompFilters } })) }) as unknown as ProcessView;

test('no kernel has us ask for more filters than there can be', () => {
  const refused = (v: ProcessView): void =>
    assert.throws(
      () => seccomp.describe?.(v),
      (e) => e instanceof DomainError && e.resource === 'very many seccomp filters',
    );
  seccomp.describe?.(view(0, 1, 6000));
  refused(view(1e12));
  refused(view(...Array<number>(100).fill(6000)));
});
