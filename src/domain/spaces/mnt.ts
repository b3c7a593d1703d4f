import { CLONE } from '../linux/flags.js';
import { spaceSort } from './space.js';

/** What is mounted in each is the kind of mounts' to tell and to make (mounts/spaces.ts): they have much in common. */
export const mnt = spaceSort<null>({
  name: 'mnt',
  flag: CLONE.NEWNS,
  madeElsewhere: true,
  look: () => Promise.resolve(null),
  give: () => Promise.resolve(),
});
