// node dist/examples/session-streaming/main.js
import { tellStory } from './story.js';

const { whole } = await tellStory(60, (line) => console.log(line));
process.exitCode = whole ? 0 : 1;
