import { giveNames, namesOf, type HostnameState } from '../kinds/hostname.js';
import { CLONE } from '../linux/flags.js';
import { spaceSort } from './space.js';

/** Host name and NIS domain name. */
export const uts = spaceSort<HostnameState>({
  name: 'uts',
  flag: CLONE.NEWUTS,
  look: ({ hands }, at) => namesOf(hands, at),
  give: ({ hands }, at, names) => giveNames(hands, at, names),
});
