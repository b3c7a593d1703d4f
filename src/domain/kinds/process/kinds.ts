/** The kinds of this folder, for the registry. */
import type { DomainKind, FileKind, ProcessKind } from '../kind.js';
import { controllingTerminal, terminals } from '../terminals/controlling.js';
import { master } from '../terminals/master.js';
import { slave } from '../terminals/slave.js';
import { attributes } from './attributes.js';
import { cgroupMembers } from './cgroup-members.js';
import { cgroups } from './cgroups.js';
import { namespaceFile } from './namespace-file.js';
import { namespaces } from './namespaces.js';
import { nextId } from './next-id.js';
import { pidfd } from './pidfd.js';
import { scheduling } from './scheduling.js';
import { seccomp } from './seccomp.js';
import { room } from './room.js';
import { threadsApart } from './threads-apart.js';

export const ofProcesses: readonly ProcessKind[] = [
  cgroupMembers,
  scheduling,
  attributes,
  seccomp,
  controllingTerminal,
];
export const sharedByProcesses: readonly DomainKind[] = [namespaces, cgroups, room, threadsApart, terminals, nextId];
export const filesOfProcesses: readonly FileKind[] = [pidfd, namespaceFile, master, slave];
