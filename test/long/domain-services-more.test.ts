/** More of Debian's services out of a tree, as they are, moved there and back under load (test/services/moving.ts). */
import { MORE_SERVICES } from '../services/service.js';
import { testServices } from '../services/moving.js';

const INSTALL = [
  ...['openssh-server', 'openssh-client', 'tmux', 'nano', 'haproxy', 'dnsmasq-base', 'unbound', 'bind9', 'cron'],
  ...['rsyslog', 's6', 'screen', 'memcached'],
];

testServices({ name: 'services-more', install: INSTALL, services: MORE_SERVICES });
