/** The kinds of this folder, for the registry. */
import type { DomainKind, ProcessKind } from '../kind.js';
import { cgroupMembers } from './cgroup-members.js';
import { cgroups } from './cgroups.js';
import { threadsApart } from './threads-apart.js';

export const ofProcesses: readonly ProcessKind[] = [cgroupMembers];
export const sharedByProcesses: readonly DomainKind[] = [cgroups, threadsApart];
