/**
 * What the guest does, as a script in place of its shell. Ports of its console:
 *
 *   /dev/vport0p1      lines: "kernel RELEASE", "up SUM", "down NUMBER SUM", "said LINE" of the kernel's, "end"
 *   /dev/vport0p2 …    a lane each (workload.ts)
 */
export const LINES = 'lines';
/** KiB of randomness that are posted in each transfer, a third more as text. */
const UP_KIB = 512;

export const laneName = (lane: number): string => `lane${lane}`;

/** `address`: where the guest reaches this host. */
export function guestScript(lanes: number, address: string, port: number): string {
  const last = lanes + 1;
  return `p=1; while [ $p -le ${last} ]; do until [ -c /dev/vport0p$p ]; do sleep 0.01; done; p=$((p+1)); done
exec 3> /dev/vport0p1
read -r release < /proc/sys/kernel/osrelease; echo "kernel $release" >&3
before=$(dmesg | wc -l)
# wget posts text: what follows a zero it would leave out.
dd if=/dev/urandom bs=1024 count=${UP_KIB} 2> /dev/null | base64 > /tmp/up
sum=$(md5sum < /tmp/up); echo "up \${sum%% *}" >&3
lane=0; while [ $lane -lt ${lanes} ]; do
  /usr/bin/workload $lane <> /dev/vport0p$((lane+2)) >&0 2> /dev/null &
  lane=$((lane+1))
done
n=0; while :; do
  wget -q -O /tmp/down --post-file=/tmp/up http://${address}:${port}/$n || { echo "said wget failed in transfer $n" >&3; break; }
  [ -s /tmp/down ] || break
  sum=$(md5sum < /tmp/down); echo "down $n \${sum%% *}" >&3
  n=$((n+1))
done
dmesg | tail -n +$((before+1)) | while read -r line; do echo "said $line" >&3; done
echo end >&3
# Whoever listens to the console ends the guest.
sleep 600
`;
}
