/** A large database out of a tree, moved there and back under load (test/services/moving.ts). */
import { LARGE_SERVICES } from '../services/service.js';
import { testServices } from '../services/moving.js';

testServices({ name: 'services-large', install: ['mariadb-server', 'nodejs'], services: LARGE_SERVICES });
