/** Constants of the mount interfaces (linux/mount.h, linux/fcntl.h). */
export const MS = { REC: 0x4000, UNBINDABLE: 0x20000, PRIVATE: 0x40000, SLAVE: 0x80000, SHARED: 0x100000 } as const;
export const MNT_DETACH = 2;
export const AT_RECURSIVE = 0x8000;
export const OPEN_TREE_CLONE = 1;
export const OPEN_TREE_CLOEXEC = 0o2000000;
export const MOVE_MOUNT = { F_EMPTY_PATH: 4, T_EMPTY_PATH: 0x40, SET_GROUP: 0x100 } as const;
export const FSOPEN_CLOEXEC = 1;
export const FSPICK_CLOEXEC = 1;
export const FSPICK_EMPTY_PATH = 8;
export const FSMOUNT_CLOEXEC = 1;
export const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, CMD_CREATE: 6, CMD_RECONFIGURE: 7 } as const;

/** What a mount's flags are in `mount_setattr`, by their names in mountinfo. */
const ATTRIBUTES = new Map([
  ['ro', 1],
  ['nosuid', 2],
  ['nodev', 4],
  ['noexec', 8],
  ['nodiratime', 0x80],
  ['nosymfollow', 0x200000],
]);
const ATTR_ATIME = 0x70;
const ATTR_NOATIME = 0x10;
const ATTR_STRICTATIME = 0x20;
const ALL = [...ATTRIBUTES.values()].reduce((a, b) => a | b, ATTR_ATIME);

/** `struct mount_attr`: attr_set u64, attr_clr u64, propagation u64, userns_fd u64. All other flags are taken away. */
export function mountAttributes(flags: readonly string[]): Uint8Array {
  const atime = flags.includes('relatime') ? 0 : flags.includes('noatime') ? ATTR_NOATIME : ATTR_STRICTATIME;
  const set = flags.reduce((n, f) => n | (ATTRIBUTES.get(f) ?? 0), atime);
  return new Uint8Array(new BigUint64Array([BigInt(set), BigInt(ALL & ~set) | BigInt(ATTR_ATIME), 0n, 0n]).buffer);
}

/** The same, for a mount by which we look: nobody shall see that something was read. */
export const UNSEEN = new Uint8Array(new BigUint64Array([BigInt(ATTR_NOATIME), BigInt(ATTR_ATIME), 0n, 0n]).buffer);

/** The same, for how mounts that are made later spread. */
export function propagation(kind: number): Uint8Array {
  return new Uint8Array(new BigUint64Array([0n, 0n, BigInt(kind), 0n]).buffer);
}
