import type { Mount } from './mountinfo.js';
import { isCovered } from './order.js';

/** File systems whose contents go along. */
export const WITH_CONTENTS = ['tmpfs', 'ramfs'];
/** File systems whose contents the kernel makes up of what else the domain has. */
export const MADE_UP = [
  ...['proc', 'sysfs', 'devpts', 'mqueue', 'cgroup2', 'devtmpfs'],
  ...['securityfs', 'debugfs', 'tracefs', 'configfs', 'fusectl', 'pstore', 'efivarfs'],
];
/** File systems that hold nothing that could be written and kept. */
const FILELESS = [
  ...['proc', 'sysfs', 'cgroup', 'cgroup2', 'devtmpfs', 'devpts', 'mqueue', 'securityfs', 'debugfs', 'tracefs'],
  ...['configfs', 'fusectl', 'pstore', 'efivarfs', 'bpf', 'binfmt_misc', 'hugetlbfs', 'autofs'],
];

/** Mounts through which files can be written, and that nothing covers where they are. */
export const withFiles = (mounts: readonly Mount[]): Mount[] =>
  mounts.filter((m) => !FILELESS.includes(m.type) && !isCovered(m, mounts));
