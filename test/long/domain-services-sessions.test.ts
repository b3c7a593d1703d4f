/** Sessions at terminals, moved there and back (test/services/moving.ts). */
import { SESSIONS } from '../services/service.js';
import { testServices } from '../services/moving.js';
import { MORE } from '../services/trees.js';

testServices({ name: 'services-more', install: MORE, services: SESSIONS });
