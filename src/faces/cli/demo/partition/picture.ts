/**
 * Who owns what, as lines of text:
 *
 *     frames   ▪▪▪▪▪▪aaaaaaaaaabbbbbbbbbbbbpp··········    one mark for each stretch of machine memory
 *     a        192 MiB  ██████████████░░░░░░  71 % of a hart, weight 300   disk0
 *     nobody   disk1 hidden
 */
import type { Inspection, InstanceInspection } from '../../../../index.js';
import type { Style } from '../style.js';

const MIB = 2 ** 20;
const LABEL = 10;
const BAR = 20;
const ROWS = 4;
const COLOURS = ['green', 'yellow', 'blue', 'cyan', 'red'] as const;

/** What the computer itself has, in the order of `FrameInspection.owners`: free, not there yet, VMM, monitor, harts' state. */
const OWN_MARKS = ['·', ' ', '▪', '▪', '▪'];

/** The owner of most of each stretch of frames, of `count` stretches. */
export function sampleMap(map: Int32Array, count: number): number[] {
  let total = 0;
  for (let at = 1; at < map.length; at += 2) total += map[at] ?? 0;
  const owners: number[] = [];
  let [run, end] = [0, map[1] ?? 0];
  for (let n = 0; n < count; n++) {
    const [from, to] = [(n * total) / count, ((n + 1) * total) / count];
    const had = new Map<number, number>();
    for (let at = from; at < to;) {
      while (end <= at && run + 2 < map.length) {
        run += 2;
        end += map[run + 1] ?? 0;
      }
      const until = Math.min(to, end > at ? end : to);
      const owner = map[run] ?? 0;
      had.set(owner, (had.get(owner) ?? 0) + until - at);
      at = until;
    }
    owners.push([...had].reduce((a, b) => (b[1] > a[1] ? b : a))[0]);
  }
  return owners;
}

/** Part of a hart's time that an instance had between two looks, of all its harts together. */
export function partOfHart(now: InstanceInspection, before: InstanceInspection | undefined, ms: number): number {
  if (before === undefined || ms <= 0) return 0;
  const ran = ({ harts }: InstanceInspection): number => harts.reduce((sum, hart) => sum + hart.ran, 0);
  const had =
    now.share !== undefined && before.share !== undefined ? now.share.used - before.share.used : ran(now) - ran(before);
  return Math.max(0, had / ms);
}

export function drawPicture(now: Inspection, before: Inspection | undefined, columns: number, style: Style): string[] {
  const width = Math.max(20, Math.min(100, columns - LABEL - 2));
  const { owners, map } = now.frames;
  const names = owners.map(({ name }) => name);
  const mark = (owner: number): string => OWN_MARKS[owner] ?? names[owner]?.[0] ?? '?';
  const colour = (owner: number): Parameters<Style>[0] =>
    owner < OWN_MARKS.length ? 'dim' : (COLOURS[(owner - OWN_MARKS.length) % COLOURS.length] ?? 'green');
  const sampled = map === undefined ? [] : sampleMap(map, ROWS * width);
  const rows = Array.from({ length: map === undefined ? 0 : ROWS }, (_, n) => {
    const row = sampled.slice(n * width, (n + 1) * width);
    // Marks of one colour together: there are hundreds, ten times a second.
    let [text, at] = ['', 0];
    for (let end = 1; end <= row.length; end++) {
      const owner = row[at] ?? 0;
      if (end < row.length && row[end] === owner) continue;
      text += style(colour(owner), mark(owner).repeat(end - at));
      at = end;
    }
    return text;
  });
  const label = (text: string): string => text.slice(0, LABEL - 1).padEnd(LABEL);
  const lines = rows.map((row, n) => label(n === 0 ? 'frames' : '') + row);
  for (const instance of now.instances) {
    const was = before?.instances.find(({ name }) => name === instance.name);
    const part = partOfHart(instance, was, now.at - (before?.at ?? now.at));
    const filled = Math.round(Math.min(1, part) * BAR);
    const bar = style('green', '█'.repeat(filled)) + style('dim', '░'.repeat(BAR - filled));
    const size = `${Math.round(instance.memory.resident / MIB)} MiB`.padStart(8);
    const weight = instance.share === undefined ? 'its own' : `weight ${instance.share.weight}`;
    const refused = instance.refusedDmas === 0 ? '' : `, ${instance.refusedDmas} refused`;
    const devices = now.devices.filter(
      ({ user, kind }) => user === instance.name && (kind === 'disk' || kind === 'nic'),
    );
    const have = devices.map(({ id, mode }) => (mode === 'direct' ? id : `${id} (${mode})`)).join(' ');
    lines.push(
      `${label(instance.name)}${size} ${bar} ${`${Math.round(100 * part)}`.padStart(3)} % ${weight}${refused} ${have}`,
    );
  }
  const hidden = now.devices.filter(({ user }) => user === undefined).map(({ id }) => id);
  lines.push(label('nobody') + [`${now.harts.free} of ${now.harts.total} harts`, ...hidden].join(' '));
  return lines;
}
