import { unsupported } from '../../errors.js';
import { O } from '../../linux/flags.js';
import { open } from '../../linux/os.js';
import { fileKind } from '../kind.js';

/** As `/proc/PID/fd` shows them: the kind of namespace and its number, which is another one after a move. */
const LINK = /^(mnt|net|ipc|uts|pid|user|cgroup|time):\[\d+\]$/;

/** Descriptors of the domain's own namespaces. */
export const namespaceFile = fileKind<{ readonly name: string }>({
  name: 'namespace descriptor',
  keeps: 'descriptors of the domain’s own namespaces',
  refuses: 'one of any other namespace',
  independent: true,
  matches: (view) => LINK.test(view.link),
  describe(view, process) {
    const name = nameOf(view.link);
    if (process.namespaces[name] !== view.link)
      throw unsupported(`a descriptor of another ${name} namespace`, `descriptor ${view.fd} of process ${process.pid}`);
  },
  checkpoint: (_, { view }) => Promise.resolve({ name: nameOf(view.link) }),
  restore: ({ hands, anchor }, { name }) => open(hands, `/proc/${anchor.pid}/ns/${name}`, O.RDONLY),
});

const nameOf = (link: string): string => LINK.exec(link)?.[1] ?? '';
