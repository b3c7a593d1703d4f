import type { DescriptorView, ProcessView } from '../domain/proc/survey.js';

/** What has been open in every look at a running domain: what is opened and closed all the time can be left out of one. */
export class Steady {
  #always: ReadonlySet<string> | undefined;

  /** Notes what is open; answers the same without what comes and goes, if that is to be left out. */
  of(views: readonly ProcessView[], leaveOut: boolean): readonly ProcessView[] {
    const before = this.#always;
    const open = views.flatMap((v) => v.descriptors.map((d) => keyOf(v, d)));
    const always = new Set(before === undefined ? open : open.filter((key) => before.has(key)));
    this.#always = always;
    if (!leaveOut) return views;
    return views.map((v) => ({ ...v, descriptors: v.descriptors.filter((d) => always.has(keyOf(v, d))) }));
  }
}

const keyOf = ({ hostPid }: ProcessView, { fd, link }: DescriptorView): string => `${hostPid} ${fd} ${link}`;
