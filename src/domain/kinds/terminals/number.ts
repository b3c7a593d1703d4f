/** Major number of the slaves of pseudoterminals. */
const UNIX98_SLAVES = 136;

/** The number of a pseudoterminal by its device's (`tty_nr` in /proc/PID/stat, TIOCGDEV); -1 for another terminal. */
export function indexOf(device: number): number {
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  return ((device >>> 8) & 0xfff) === UNIX98_SLAVES ? minor : -1;
}
