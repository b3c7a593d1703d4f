import { readTexts } from '../../../linux/os.js';
import { once } from '../../../once.js';
import type { CheckpointContext } from '../../kind.js';
import { socketAddress } from './address.js';

const FILES = ['raw', 'raw6', 'icmp', 'icmp6'] as const;
const ESTABLISHED = 1;

/**
 * The peers of connected raw and echo sockets, as socket addresses by inode: getpeername(2) tells of none that was named
 * without a port.
 */
export const rawPeers = once(async ({ hands, anchor }: CheckpointContext): Promise<Map<number, Uint8Array>> => {
  const texts = await readTexts(
    hands,
    FILES.map((f) => `/proc/${anchor.pid}/net/${f}`),
  );
  const peers = new Map<number, Uint8Array>();
  for (const text of texts) {
    for (const line of (text ?? '').split('\n').slice(1)) {
      // sl, local, remote (address:port), state, tx:rx, tr:tm, retrnsmt, uid, timeout, inode, …
      const [, , remote = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
      const [address = '', port = ''] = remote.split(':');
      if (parseInt(state, 16) === ESTABLISHED && /^([0-9A-F]{8}){1,4}$/.test(address))
        peers.set(Number(inode), socketAddress({ address: bytesOf(address), port: parseInt(port, 16) }));
    }
  }
  return peers;
});

/** Words of 32 bits as numbers of this processor. */
function bytesOf(digits: string): Uint8Array {
  const words = digits.match(/.{8}/g) ?? [];
  return new Uint8Array(Uint32Array.from(words, (w) => parseInt(w, 16)).buffer);
}
