import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HandsError } from './errors.js';
import { Hands } from './hands.js';
import { BOUND, Mailbox, MAILBOX_SIZE } from './mailbox.js';
import { SYS } from './syscalls.js';
import { MailboxTransport } from './transport.js';

const host = { wake: () => undefined, now: () => 0, after: () => () => undefined };

test('what is said to hands whose instance has ended does not reach memory that is somebody else’s by then', async () => {
  const memory = new SharedArrayBuffer(2 * MAILBOX_SIZE);
  const mailbox = new Mailbox(memory, MAILBOX_SIZE);
  const transport = new MailboxTransport(mailbox, host);
  const hands = new Hands(transport);
  mailbox.reset(new Uint8Array(16).fill(7));
  mailbox.set(BOUND, 1);
  const waiting = hands.syscall(SYS.getpid);
  await new Promise((resolve) => setTimeout(resolve, 0));

  mailbox.retire();
  const all = new Uint8Array(memory).fill(0x55);
  transport.setLinger(100);
  transport.close();
  const gone = (e: unknown): boolean => e instanceof HandsError && e.code === 'gone';
  await assert.rejects(waiting, gone);
  await assert.rejects(hands.syscall(SYS.getpid), gone);
  assert.ok(all.every((byte) => byte === 0x55));
});
