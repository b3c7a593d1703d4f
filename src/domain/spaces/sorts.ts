import { cgroup } from './cgroup.js';
import { ipc } from './ipc.js';
import { mnt } from './mnt.js';
import { net } from './net.js';
import type { SpaceSort } from './space.js';
import { uts } from './uts.js';

/** Sorts of namespaces of which a domain may have more than one, in the order in which a process enters them. */
export const SORTS: readonly SpaceSort[] = [uts, ipc, cgroup, net, mnt];
