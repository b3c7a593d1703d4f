import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MADV } from '../linux/flags.js';
import { parseSmaps } from './advice.js';

test('what was said about a mapping is read from its VmFlags; the kernel’s own mappings are left out', () => {
  const text = [
    '00010000-00012000 r-xp 00000000 00:02 1234                               /opt/a [x] b',
    'Size:                  8 kB',
    'VmFlags: rd ex mr mw me ',
    '3fb0000000-3fb0001000 rw-p 00000000 00:00 0 ',
    'VmFlags: rd wr mr mw me lo ac dc wf sd ',
    '3fb0001000-3fb0003000 rw-p 00000000 00:00 0                              [heap]',
    'VmFlags: rd wr mr mw me ac dd nh ',
    '3ffff00000-3ffff02000 r--p 00000000 00:00 0                              [vvar]',
    'VmFlags: rd mr pf de dd ',
    '3ffff02000-3ffff03000 r-xp 00000000 00:00 0                              [vdso]',
    'VmFlags: rd ex mr mw me de dd ',
  ].join('\n');
  const set = (flags: string): Set<string> => new Set(flags.split(' '));
  assert.deepEqual(parseSmaps(text), [
    { start: 0x10000, end: 0x12000, advice: [], flags: set('rd ex mr mw me') },
    {
      start: 0x3fb0000000,
      end: 0x3fb0001000,
      advice: [MADV.DONTFORK, MADV.WIPEONFORK],
      flags: set('rd wr mr mw me lo ac dc wf sd'),
    },
    {
      start: 0x3fb0001000,
      end: 0x3fb0003000,
      advice: [MADV.DONTDUMP, MADV.NOHUGEPAGE],
      flags: set('rd wr mr mw me ac dd nh'),
    },
  ]);
});
