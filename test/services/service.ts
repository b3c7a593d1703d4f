/** Debian's services as they are, as domains: what each needs, and how it is used while it moves. */
import type { Domain, DomainOptions } from '../../src/index.js';
import { cron, nohup, rsyslog, s6 } from './counting.js';
import { bind, dnsmasq, unbound } from './dns.js';
import { screen, tmux } from './editors.js';
import { haproxy } from './haproxy.js';
import { mariadb } from './mariadb.js';
import { memcachedUdp } from './memcached-udp.js';
import { memcached } from './memcached.js';
import { nginx } from './nginx.js';
import { nodejs } from './nodejs.js';
import { postgresql } from './postgresql.js';
import { redis } from './redis.js';
import { sqlite } from './sqlite.js';
import { ssh } from './ssh.js';
import { tail } from './tail.js';

/** What is used of a service under way. */
export interface Load {
  /** Ends it; answers what was not as it should be, in words: nothing, if all was. */
  finish(): Promise<string[]>;
}

export interface Surroundings {
  /** Port of this host that leads to the service's. */
  readonly port: number;
  /** The lines that the domain has written, whole ones. */
  readonly lines: () => string[];
  /** All that it has written. */
  readonly text: () => string;
  readonly domain: Domain;
}

export interface Service {
  readonly name: string;
  readonly run: Omit<DomainOptions, 'name' | 'root' | 'network'>;
  /** The port that it listens on; none: nobody connects. */
  readonly port?: number;
  readonly protocol?: 'tcp' | 'udp';
  /** Begins to use it; resolves when it answers. */
  begin(surroundings: Surroundings): Promise<Load>;
}

export const SERVICES: readonly Service[] = [memcached, redis, nginx, sqlite, postgresql, tail];

export const MORE_SERVICES: readonly Service[] = [haproxy, dnsmasq, unbound, bind, rsyslog, cron, nohup, memcachedUdp];

/** What somebody sits before. */
export const SESSIONS: readonly Service[] = [ssh, tmux, screen];

export const LARGE_SERVICES: readonly Service[] = [mariadb, nodejs];

/** What starts others again and again. */
export const STARTERS: readonly Service[] = [s6];
