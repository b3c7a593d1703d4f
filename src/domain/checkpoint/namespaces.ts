import { DomainError } from '../errors.js';
import type { Namespaces } from '../proc/namespaces.js';
import type { ProcessView } from '../proc/survey.js';
import { SORTS } from '../spaces/sorts.js';

/** As `/proc/PID/ns` names them; those that only children would be born into come with what they are of. */
const TITLES: Readonly<Record<string, string>> = {
  pid_for_children: 'pid namespace',
  time_for_children: 'time namespace',
};

/** Refuses a process that has a namespace which is not the domain's, of a sort of which it has but one. Throws `unsupported`. */
export function refuseNamespaces(view: ProcessView, own: Namespaces): void {
  for (const [name, ns] of Object.entries(view.namespaces)) {
    if (ns === own[name] || SORTS.some((s) => s.name === name)) continue;
    const title = TITLES[name] ?? `${name} namespace`;
    throw new DomainError('unsupported', `process ${view.pid} has a ${title} of its own`, { resource: `a ${title}` });
  }
}
