/** What is measured, in the order of the report. */
export interface Case {
  readonly name: string;
  readonly about: string;
  /** What one unit is. */
  readonly unit: 'bytes' | 'operations';
}

export const CASES: readonly Case[] = [
  { name: 'sequentialRead', about: 'disk, 1 MiB at a time', unit: 'bytes' },
  { name: 'sequentialWrite', about: 'disk, 1 MiB at a time', unit: 'bytes' },
  { name: 'randomRead', about: 'disk, 4 KiB, one at a time', unit: 'operations' },
  { name: 'randomWrite', about: 'disk, 4 KiB, one at a time', unit: 'operations' },
  { name: 'networkDown', about: 'one TCP connection from the host', unit: 'bytes' },
  { name: 'networkUp', about: 'one TCP connection to the host', unit: 'bytes' },
  { name: 'roundTrips', about: '64 bytes there and back over TCP', unit: 'operations' },
  { name: 'connections', about: 'TCP: connect, one byte each way, close', unit: 'operations' },
];
