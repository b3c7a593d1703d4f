/**
 * What the guest does that makes a tree: Debian's own dpkg unpacks and configures the packages there, as it would on a
 * machine. Disks: /dev/vda becomes the tree, /dev/vdb has the packages. Ports: /dev/vport0p1 tells how far it is,
 * /dev/vport0p2 takes whatever the programs write.
 */
import type { InstallStep } from '../image/apttext.js';
import { BLOCK, type Placed } from './package-disk.js';

export interface Installation {
  /** In the order in which apt would do it. */
  readonly order: readonly InstallStep[];
  /** What has to be there before dpkg can run, by name: laid out without it, and done properly afterwards. */
  readonly first: readonly string[];
  readonly placed: ReadonlyMap<string, Placed>;
  /** Of the file system. */
  readonly label: string;
}

/** Bytes of packages that are taken from the disk at once: they lie in the tree while they are unpacked. */
const MOST_AT_ONCE = 192 * 2 ** 20;

/** Packages that are to be laid out before all others: it brings the links of the merged /usr. */
const FIRST = 'base-files';

/**
 * The file system has no journal: nobody writes to it later. Services are not started: policy-rc.d denies it
 * (invoke-rc.d(8)). Users and groups that Debian numbers itself are there from the beginning, for files that belong to
 * them.
 */
const PRELUDE = `set -eu
for p in 1 2; do until [ -c /dev/vport0p$p ]; do sleep 0.01; done; done
exec 3> /dev/vport0p1 > /dev/vport0p2 2>&1
trap 'echo "exit $?" >&3' EXIT
T=/mnt
step() { echo "step $*" >&3; }
take() {
  dd if=/dev/vdb of="$T/packages/$1.deb" bs=${BLOCK} skip="$2" count="$3" 2> /dev/null
  truncate -s "$4" "$T/packages/$1.deb"
}
lay() {
  take "$@"
  echo "lay $1" >&3
  (cd $T && ar -p "packages/$1.deb" data.tar | tar -x -p -f -)
  rm "$T/packages/$1.deb"
}
inside() {
  chroot $T /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 \\
    DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true DEBCONF_NOWARNINGS=yes "$@" < /dev/null
}
unpack() {
  inside dpkg --status-fd 3 --force-unsafe-io --force-depends --no-triggers --unpack $(printf '/packages/%s.deb ' "$@")
  rm -rf $T/packages
  mkdir $T/packages
}
configure() { inside dpkg --status-fd 3 --force-unsafe-io --no-triggers --configure "$@"; }
`;

const mount = (label: string): string => `step making the file system
/usr/sbin/mke2fs -q -F -t ext4 -b 4096 -O ^has_journal,^metadata_csum,^resize_inode -m 0 -i 8192 -E lazy_itable_init=1,nodiscard -L ${label} /dev/vda
mount -t ext4 -o noatime,discard,noinit_itable,barrier=0 /dev/vda $T
mkdir -p $T/packages $T/dev $T/proc $T/sys $T/run $T/tmp
chmod 1777 $T/tmp
mkdir -p $T/usr/bin $T/usr/sbin $T/usr/lib
for d in bin sbin lib; do ln -s usr/$d $T/$d; done
`;

const BEFORE_DPKG = `mount -t proc proc $T/proc
mount -t sysfs sys $T/sys
mount -t devtmpfs dev $T/dev
mount -t devpts devpts $T/dev/pts
mount -t tmpfs run $T/run
mount -t tmpfs tmp $T/tmp
mkdir -p $T/run/lock
for f in passwd group; do [ -e $T/etc/$f ] || cp $T/usr/share/base-passwd/$f.master $T/etc/$f; done
mkdir -p $T/var/lib/dpkg/info $T/var/lib/dpkg/updates $T/var/lib/dpkg/triggers
: > $T/var/lib/dpkg/status
: > $T/var/lib/dpkg/available
printf '#!/bin/sh\\nexit 101\\n' > $T/usr/sbin/policy-rc.d
chmod 755 $T/usr/sbin/policy-rc.d
[ -e $T/etc/hosts ] || printf '127.0.0.1 localhost\\n::1 localhost\\n' > $T/etc/hosts
[ -e $T/etc/hostname ] || echo tree > $T/etc/hostname
[ -e $T/etc/resolv.conf ] || : > $T/etc/resolv.conf
`;

const AFTER = `step finishing
inside dpkg --status-fd 3 --force-unsafe-io --configure --pending
left=$(inside dpkg --audit)
[ -z "$left" ] || { echo "$left"; exit 1; }
rm -rf $T/packages $T/usr/sbin/policy-rc.d $T/var/log/dpkg.log $T/var/log/alternatives.log $T/var/log/bootstrap.log
rm -rf $T/var/cache/debconf/*-old $T/var/lib/dpkg/*-old $T/var/cache/apt $T/etc/machine-id
for d in dev/pts dev proc sys run tmp; do umount $T/$d || { sleep 1; umount -l $T/$d; }; done
echo "used $(du -s -k $T | cut -f 1)" >&3
umount $T
step checking and shrinking the file system
/usr/sbin/e2fsck -f -y /dev/vda || [ $? -eq 1 ]
/usr/sbin/resize2fs -M /dev/vda
# s_blocks_count of the superblock, which lies at byte 1024.
echo "blocks $(dd if=/dev/vda bs=4 skip=257 count=1 2> /dev/null | od -A n -t u4 | tr -d ' ')" >&3
sync
`;

/** The script of a whole installation. */
export function installScript({ order, first, placed, label }: Installation): string {
  const take = (how: 'take' | 'lay', name: string): string => {
    const { at, size } = placed.get(name)!;
    return `${how} ${name} ${at / BLOCK} ${Math.ceil(size / BLOCK)} ${size}\n`;
  };
  const laid = [...first].sort((a, b) => Number(b === FIRST) - Number(a === FIRST));
  let text = PRELUDE + mount(label) + laid.map((name) => take('lay', name)).join('') + BEFORE_DPKG;
  for (const { act, names } of inGroups(foundationFirst(order, first), placed)) {
    if (act === 'configure') text += `configure ${names.join(' ')}\n`;
    else text += `${names.map((name) => take('take', name)).join('')}unpack ${names.join(' ')}\n`;
  }
  return text + AFTER;
}

/**
 * What was laid out can do its work, so all of it is unpacked in one go, and configured in another, which takes a third of
 * the time; apt's order, a package at a time, is for the others.
 */
function foundationFirst(order: readonly InstallStep[], first: readonly string[]): InstallStep[] {
  const laid = new Set(first);
  const isLaid = (act: InstallStep['act']) => (step: InstallStep) => step.act === act && laid.has(step.name);
  return [
    ...order.filter(isLaid('unpack')),
    ...order.filter(isLaid('configure')),
    ...order.filter(({ name }) => !laid.has(name)),
  ];
}

interface Group {
  readonly act: InstallStep['act'];
  readonly names: string[];
}

/** Steps of one kind in a row are one call of dpkg, unless what they take is too much at once. */
function inGroups(order: readonly InstallStep[], placed: ReadonlyMap<string, Placed>): Group[] {
  const groups: Group[] = [];
  let bytes = 0;
  for (const { act, name } of order) {
    const size = placed.get(name)?.size ?? 0;
    const last = groups.at(-1);
    if (last?.act === act && bytes + size <= MOST_AT_ONCE) {
      last.names.push(name);
      bytes += size;
    } else {
      groups.push({ act, names: [name] });
      bytes = size;
    }
  }
  return groups;
}
