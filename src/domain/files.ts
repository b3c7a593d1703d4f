import type { Hands } from '../guest/hands/hands.js';
import { SYS } from '../guest/hands/syscalls.js';
import { unsupported } from './errors.js';
import type { OpenFile } from './kinds/kind.js';
import { fileKinds } from './kinds/registry.js';
import { KCMP, O } from './linux/flags.js';
import { check } from './linux/os.js';
import type { DescriptorView, ProcessView } from './proc/survey.js';

/** The kind that takes care of a descriptor. Throws `unsupported`. */
export function kindOf(view: DescriptorView, process: ProcessView): (typeof fileKinds)[number] {
  const kind = fileKinds.find((k) => k.matches(view));
  if (kind === undefined) throw unsupported(view.link, `descriptor ${view.fd} of process ${process.pid}`);
  return kind;
}

/**
 * Holds every open file of the domain by a descriptor of the hands, and learns which descriptors share one
 * description (kcmp(2)). The caller closes {@link OpenFile.held}.
 */
export async function holdFiles(hands: Hands, views: readonly ProcessView[]): Promise<OpenFile[]> {
  interface Entry {
    readonly process: ProcessView;
    readonly view: DescriptorView;
  }
  // Only descriptors that look alike can be the same description.
  const groups = new Map<string, Entry[]>();
  for (const process of views) {
    for (const view of process.descriptors) {
      const key = `${view.link} ${view.info.flags & ~O.CLOEXEC} ${view.info.pos}`;
      groups.set(key, [...(groups.get(key) ?? []), { process, view }]);
    }
  }
  const descriptions: Entry[][] = [];
  for (const entries of groups.values()) {
    const found: Entry[][] = [];
    for (const e of entries) {
      let home: Entry[] | undefined;
      for (const d of found) {
        const first = d[0];
        if (first === undefined) continue;
        const same = await hands.syscall(
          SYS.kcmp,
          first.process.hostPid,
          e.process.hostPid,
          KCMP.FILE,
          first.view.fd,
          e.view.fd,
        );
        if (check(same, 'comparing descriptors') === 0) {
          home = d;
          break;
        }
      }
      if (home === undefined) found.push([e]);
      else home.push(e);
    }
    descriptions.push(...found);
  }

  const pidfds = new Map<number, number>();
  for (const p of views) pidfds.set(p.hostPid, check(await hands.syscall(SYS.pidfd_open, p.hostPid, 0), 'pidfd_open'));
  try {
    const b = hands.batch();
    const refs = descriptions.map((d) => {
      const first = d[0];
      return first === undefined
        ? undefined
        : b.call(SYS.pidfd_getfd, pidfds.get(first.process.hostPid) ?? -1, first.view.fd, 0);
    });
    const r = await b.run();
    return descriptions.flatMap((d, i): OpenFile[] => {
      const first = d[0];
      const ref = refs[i];
      if (first === undefined || ref === undefined) return [];
      return [
        {
          id: `file ${i}`,
          view: first.view,
          held: check(r.value(ref), `holding descriptor ${first.view.fd} (${first.view.link})`),
          users: d.map((e) => ({ pid: e.process.pid, fd: e.view.fd, cloexec: (e.view.info.flags & O.CLOEXEC) !== 0 })),
        },
      ];
    });
  } finally {
    for (const fd of pidfds.values()) await hands.syscall(SYS.close, fd);
  }
}
