/** More of Debian's services out of a tree, as they are, moved there and back under load (test/services/moving.ts). */
import { MORE_SERVICES } from '../services/service.js';
import { testServices } from '../services/moving.js';
import { MORE } from '../services/trees.js';

testServices({ name: 'services-more', install: MORE, services: MORE_SERVICES });
