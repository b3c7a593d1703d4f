/** Users and groups by their names, as the tables of a guest have them (passwd(5), group(5)). */
import { DomainError } from '../../domain/errors.js';
import { readText } from '../../domain/linux/os.js';
import type { User } from '../../domain/tree/program.js';
import type { Hands } from '../../guest/hands/hands.js';

export interface Account extends User {
  readonly home: string;
  readonly name: string;
}

/**
 * `user[:group]`, each a name or a number, as the tables below `root` have it. Without a group the user's own, and all
 * groups that have the user as a member. Throws DomainError `state` for a name that is not there.
 */
export async function findAccount(hands: Hands, root: string, text: string): Promise<Account> {
  const [user = '', group] = text.split(':');
  const [passwd, groups] = await Promise.all(['passwd', 'group'].map((f) => table(hands, `${root}/etc/${f}`)));
  const entry = passwd.find((p) => p[0] === user || p[2] === user);
  const id = (what: string, name: string, found: string | undefined): number => {
    const number = found ?? (/^\d{1,10}$/.test(name) ? name : undefined);
    if (number === undefined) throw new DomainError('state', `there is no ${what} ${name} in ${root}/etc`);
    return Number(number);
  };
  const uid = id('user', user, entry?.[2]);
  const gid =
    group === undefined
      ? id('group of user', user, entry?.[3] ?? (entry === undefined ? '0' : undefined))
      : id('group', group, groups.find((g) => g[0] === group)?.[2]);
  const name = entry?.[0] ?? user;
  const more = groups.filter((g) => (g[3] ?? '').split(',').includes(name)).map((g) => Number(g[2]));
  const all = group === undefined ? [...new Set([gid, ...more])] : [gid];
  return { uid, gid, groups: all, home: entry?.[5] ?? '/', name };
}

async function table(hands: Hands, path: string): Promise<string[][]> {
  return ((await readText(hands, path)) ?? '').split('\n').map((line) => line.split(':'));
}
