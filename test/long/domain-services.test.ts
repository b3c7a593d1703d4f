/** Debian's services out of a tree, as they are, moved there and back under load (test/services/moving.ts). */
import { SERVICES } from '../services/service.js';
import { testServices } from '../services/moving.js';

const INSTALL = ['dnsmasq-base', 'haproxy', 'memcached', 'nginx', 'postgresql-17', 'redis-server', 'sqlite3'];

testServices({ name: 'services', install: INSTALL, services: SERVICES });
