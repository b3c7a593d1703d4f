import { DomainError, unsupported } from '../../errors.js';
import { O } from '../../linux/flags.js';
import { open } from '../../linux/os.js';
import { findSpaces, SPACE_LINK } from '../../spaces/find.js';
import { sortOf, spaceKey } from '../../spaces/space.js';
import { fileKind, type LookContext } from '../kind.js';

interface NamespaceFile {
  readonly name: string;
  /** Where it is none of those that the domain was made with: as the source shows it. */
  readonly other: string | undefined;
}

/** Descriptors of namespaces that the domain has. */
export const namespaceFile = fileKind<NamespaceFile>({
  name: 'namespace descriptor',
  keeps: 'descriptors of the domain’s own namespaces, and of others that go along',
  refuses: 'one of any other namespace',
  independent: true,
  matches: (view) => SPACE_LINK.test(view.link),
  inspect: (context, { view }) => Promise.resolve(void otherOf(context, view)),
  checkpoint: (context, { view }) => Promise.resolve({ name: sortOf(view.link), other: otherOf(context, view) }),
  restore({ hands, anchor, objectFds }, { name, other }) {
    if (other === undefined) return open(hands, `/proc/${anchor.pid}/ns/${name}`, O.RDONLY);
    const held = objectFds.get(spaceKey(other));
    if (held === undefined) throw new DomainError('state', `namespace ${other} was not made`);
    return open(hands, `/proc/self/fd/${held}`, O.RDONLY);
  },
});

/** Throws `unsupported` for a namespace that does not go along. */
function otherOf(
  context: LookContext,
  { fd, link }: { readonly fd: number; readonly link: string },
): string | undefined {
  const name = sortOf(link);
  if (context.anchor.namespaces[name] === link) return undefined;
  if (!findSpaces(context).some((f) => f.link === link))
    throw unsupported(`a descriptor of another ${name} namespace`, `descriptor ${fd} (${link})`);
  return link;
}
