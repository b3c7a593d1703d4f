import type { FileKind } from './kind.js';
import { socketKind } from './socket-options.js';
import { tcp } from './tcp.js';
import { unix } from './unix.js';

const AF_UNIX = 1;

/** Sockets of every sort look alike in /proc: the socket itself says which kind takes care of it. */
export const socket: FileKind = {
  name: 'socket',
  independent: true,
  matches: (view) => view.link.startsWith('socket:['),
  async inspect(context, file) {
    const { domain } = await socketKind(context.hands, file.held);
    await (domain === AF_UNIX ? unix : tcp).inspect?.(context, file);
  },
  async checkpoint(context, file) {
    const { domain } = await socketKind(context.hands, file.held);
    return (domain === AF_UNIX ? unix : tcp).checkpoint(context, file);
  },
};
