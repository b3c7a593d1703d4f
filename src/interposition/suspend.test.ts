import { suspendSuite } from './testing/suite.js';
import * as subjects from './testing/subjects.js';

suspendSuite(subjects.disk);
suspendSuite(subjects.nic);
suspendSuite(subjects.console);
suspendSuite(subjects.plainConsole);
suspendSuite(subjects.entropy);
suspendSuite(subjects.balloon);
