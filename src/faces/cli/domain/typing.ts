/** What a caller types goes to a domain of the machine, in order; how it is told that there is room for more. */
import type { Domain } from '../../../maintenance/handle/domain.js';
import type { Caller } from '../control/caller.js';
import type { Message } from '../control/protocol.js';

export function passInput(domain: Domain, caller: Caller): void {
  let pending: Promise<void> = Promise.resolve();
  let closed = false;
  const close = (): void => {
    // It reads no more, or has ended.
    if (!closed) caller.tell({ inputClosed: true });
    closed = true;
  };
  const take = async (message: Message): Promise<void> => {
    if ('input' in message) {
      if (!closed) await domain.stdin?.write(message.input);
      caller.took(message.input.length);
    } else await domain.stdin?.end();
  };
  caller.onMessage = (message) => {
    // A size does not wait for what nobody reads.
    if ('size' in message) void domain.resize(message.size).catch(() => undefined);
    else pending = pending.then(() => take(message)).catch(close);
  };
}
