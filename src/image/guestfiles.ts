/** The files of a guest that come from no package: PID 1, its helpers, and the tables of /etc. */
import type { CpioEntry } from './cpio.js';

/**
 * PID 1. Every process costs an interpreted machine about a million instructions, so there are few:
 * one `mount -a` for the file systems, one `modprobe` for all modules, and files are read and written
 * by the shell itself.
 *
 * What a launcher may add (in an archive behind this one, or in the profile):
 *   /etc/understudy/run       executed in place of the shell; the guest powers off when it ends
 *   /etc/understudy/network   "ADDRESS NETMASK GATEWAY NAMESERVER" for eth0, instead of DHCP
 *   /etc/understudy/modules   names of the modules to load, on one line
 *   /etc/hostname
 */
const INIT = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin HOME=/root TERM=\${TERM:-linux}
mount -a
mkdir /dev/pts /dev/shm
mount -a -T /etc/fstab.dev
read -r name < /etc/hostname && echo "$name" > /proc/sys/kernel/hostname
read -r modules < /etc/understudy/modules && modprobe -a $modules
ifconfig lo 127.0.0.1 up
if [ -e /sys/class/net/eth0 ]; then
  if read -r address netmask gateway nameserver 2>/dev/null < /etc/understudy/network; then
    ifconfig eth0 "$address" netmask "$netmask" up
    [ -z "$gateway" ] || route add default gw "$gateway"
    [ -z "$nameserver" ] || echo "nameserver $nameserver" > /etc/resolv.conf
  elif [ -e /etc/understudy/run ]; then
    udhcpc -q -n -i eth0 -s /etc/udhcpc.script -t 5 -T 1 > /dev/null 2>&1
  else
    udhcpc -b -i eth0 -s /etc/udhcpc.script -t 5 -T 1 > /dev/null 2>&1 &
  fi
fi
cd /root
if [ -x /etc/understudy/run ]; then
  /etc/understudy/run
elif [ -e /etc/understudy/run ]; then
  sh /etc/understudy/run
else
  read -r release < /proc/sys/kernel/osrelease
  echo
  echo "Debian on Understudy, Linux $release. Type exit to switch the machine off."
  setsid cttyhack sh -l
fi
# A disk that somebody mounted is left clean.
umount -a -r 2> /dev/null
poweroff -f
`;

/** udhcpc(8) calls it with what the server gave in the environment. */
const UDHCPC_SCRIPT = `#!/bin/sh
case $1 in
  deconfig) ifconfig "$interface" 0.0.0.0 up ;;
  bound | renew)
    ifconfig "$interface" "$ip" netmask "\${subnet:-255.255.255.0}"
    for gateway in $router; do
      route add default gw "$gateway" dev "$interface"
      break
    done
    : > /etc/resolv.conf
    for nameserver in $dns; do echo "nameserver $nameserver" >> /etc/resolv.conf; done
    ;;
esac
`;

/** Mounted in this order; the second table wants folders that are made on /dev first. */
const FSTAB = `proc /proc proc nosuid,nodev,noexec 0 0
sysfs /sys sysfs nosuid,nodev,noexec 0 0
dev /dev devtmpfs nosuid 0 0
cgroup2 /sys/fs/cgroup cgroup2 nosuid,nodev,noexec 0 0
`;
const FSTAB_DEV = `devpts /dev/pts devpts gid=5,mode=620,ptmxmode=666 0 0
shm /dev/shm tmpfs nosuid,nodev 0 0
`;

const PROFILE = `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
export PS1='\\u@\\h:\\w\\$ '
alias ll='ls -l'
`;

const PASSWD = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
redis:x:100:100::/var/lib/redis:/usr/sbin/nologin
user:x:1000:1000:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;
const GROUP = `root:x:0:
daemon:x:1:
tty:x:5:
redis:x:100:
user:x:1000:
nogroup:x:65534:
`;

const folder = (path: string, mode = 0o755, id = 0): CpioEntry => ({ path, mode: 0o040000 | mode, uid: id, gid: id });
const file = (path: string, data: string, mode = 0o644): CpioEntry => ({ path, mode, data });
const link = (path: string, symlink: string): CpioEntry => ({ path, mode: 0o777, symlink });

/**
 * The frame of a root file system.
 *
 * @param load names of the modules that /init loads.
 */
export function guestFiles(load: readonly string[]): CpioEntry[] {
  return [
    link('bin', 'usr/bin'),
    link('sbin', 'usr/sbin'),
    link('lib', 'usr/lib'),
    ...['dev', 'etc', 'home', 'mnt', 'proc', 'run', 'srv', 'sys', 'usr', 'usr/bin', 'usr/lib', 'usr/sbin', 'var'].map(
      (p) => folder(p),
    ),
    ...['var/cache', 'var/lib', 'var/log'].map((p) => folder(p)),
    folder('root', 0o700),
    folder('home/user', 0o755, 1000),
    folder('var/lib/redis', 0o750, 100),
    folder('tmp', 0o1777),
    folder('var/tmp', 0o1777),
    link('var/run', '/run'),
    // The kernel opens the console before /init can mount anything.
    { path: 'dev/console', mode: 0o020600, rdev: [5, 1] },
    { path: 'dev/null', mode: 0o020666, rdev: [1, 3] },
    file('init', INIT, 0o755),
    file('etc/udhcpc.script', UDHCPC_SCRIPT, 0o755),
    file('etc/fstab', FSTAB),
    file('etc/fstab.dev', FSTAB_DEV),
    file('etc/profile', PROFILE),
    file('etc/passwd', PASSWD),
    file('etc/group', GROUP),
    file('etc/hostname', 'understudy\n'),
    file('etc/hosts', '127.0.0.1 localhost understudy\n::1 localhost\n'),
    file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    file('etc/resolv.conf', ''),
    file('etc/understudy/modules', `${load.join(' ')}\n`),
  ];
}

/** Links to busybox under each of its names, as Debian's own tools would stand there. */
export function busyboxLinks(applets: readonly string[], taken: ReadonlySet<string>): CpioEntry[] {
  // The kernel asks for modules by this path (/proc/sys/kernel/modprobe).
  const links = [link('usr/sbin/modprobe', '../bin/busybox')];
  for (const name of applets) {
    const path = `usr/bin/${name}`;
    if (name !== 'busybox' && !taken.has(path)) links.push(link(path, 'busybox'));
  }
  return links;
}
