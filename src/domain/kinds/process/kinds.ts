/** The kinds of this folder, for the registry. */
import type { DomainKind, FileKind, ProcessKind } from '../kind.js';
import { attributes } from './attributes.js';
import { cgroupMembers } from './cgroup-members.js';
import { cgroups } from './cgroups.js';
import { namespaceFile } from './namespace-file.js';
import { pidfd } from './pidfd.js';
import { scheduling } from './scheduling.js';
import { seccomp } from './seccomp.js';
import { threadsApart } from './threads-apart.js';

export const ofProcesses: readonly ProcessKind[] = [cgroupMembers, scheduling, attributes, seccomp];
export const sharedByProcesses: readonly DomainKind[] = [cgroups, threadsApart];
export const filesOfProcesses: readonly FileKind[] = [pidfd, namespaceFile];
