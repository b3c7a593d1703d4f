import { unsupported } from '../../../errors.js';
import { fileKind, type OpenFile } from '../../kind.js';

/** Families of sockets by their numbers in linux/socket.h, for what people call them. */
const NAMES: Readonly<Record<number, string>> = {
  3: 'amateur radio (AF_AX25)',
  15: 'keys (AF_KEY)',
  21: 'RDS (AF_RDS)',
  24: 'PPP over something (AF_PPPOX)',
  26: 'LLC (AF_LLC)',
  29: 'a CAN bus (AF_CAN)',
  30: 'TIPC (AF_TIPC)',
  31: 'Bluetooth (AF_BLUETOOTH)',
  33: 'RxRPC (AF_RXRPC)',
  38: 'the kernel’s cryptography (AF_ALG)',
  40: 'virtual machines (AF_VSOCK)',
  41: 'a stream of messages (AF_KCM)',
  42: 'Qualcomm’s IPC (AF_QIPCRTR)',
  43: 'SMC (AF_SMC)',
  44: 'XDP (AF_XDP)',
  45: 'MCTP (AF_MCTP)',
};

/** Sockets of families that nobody takes care of: refused by the family's name. */
export function otherFamily(domain: number): ReturnType<typeof fileKind<undefined>> {
  const refuse = (file: OpenFile): Promise<never> =>
    Promise.reject(unsupported(`a socket of ${NAMES[domain] ?? `family ${domain}`}`, `descriptor ${file.view.fd}`));
  return fileKind<undefined>({
    name: 'other sockets',
    keeps: 'nothing',
    refuses: 'sockets of families other than UNIX, IPv4, IPv6, netlink and packet',
    matches: () => false,
    inspect: (_, file) => refuse(file),
    checkpoint: (_, file) => refuse(file),
    restore: () => Promise.reject(new Error('a socket of this family is never saved')),
  });
}
