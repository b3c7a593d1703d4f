/** The programs, in the order of the table. Their sources are in bench/programs. */
export interface ProgramInfo {
  readonly name: string;
  readonly about: string;
  /** Debian packages it consists of, beside the runner. */
  readonly packages?: readonly string[];
}

export const PROBE = 'probe';

export const PROGRAMS: readonly ProgramInfo[] = [
  { name: 'core', about: 'lists, matrices, a state machine, CRC' },
  { name: 'hash64', about: '64-bit hash' },
  { name: 'sieve', about: 'sieve over 8 MiB' },
  { name: 'chase', about: 'pointer chase over 16 MiB' },
  { name: 'memory', about: 'memset and memcpy of 1 MiB' },
  { name: 'copy64', about: 'copy of 64-bit words' },
  { name: 'nbody', about: 'five bodies, double precision' },
  { name: 'mandelbrot', about: 'Mandelbrot, double precision' },
  { name: 'single', about: 'matrix and filter, single precision' },
  { name: 'fib', about: 'recursion' },
  { name: 'bytecode', about: 'bytecode interpreter' },
  { name: 'sort', about: 'quicksort of strings' },
  { name: 'getppid', about: '1000 system calls' },
  { name: 'pagefault', about: '256 page faults' },
  { name: 'forkexec', about: '10 × fork and exec' },
  { name: 'pipe', about: '200 round trips over pipes' },
  { name: 'straddle', about: 'hot loop over a page boundary' },
  { name: 'faraway', about: 'calls among 128 pages' },
  { name: 'latecode', about: 'code written by the program' },
  { name: 'gzip', about: 'gzip of 512 KiB', packages: ['gzip'] },
  { name: 'sqlite3', about: 'sqlite3, 5000 rows', packages: ['sqlite3'] },
  { name: 'python3', about: 'start of python3', packages: ['python3-minimal'] },
  { name: 'redis', about: 'redis-benchmark, 1500 requests', packages: ['redis-server', 'redis-tools'] },
];
