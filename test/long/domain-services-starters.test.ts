/** A supervisor, which starts a service again each time it ends, moved there and back (test/services/moving.ts). */
import { STARTERS } from '../services/service.js';
import { testServices } from '../services/moving.js';
import { MORE } from '../services/trees.js';

testServices({ name: 'services-more', install: MORE, services: STARTERS });
