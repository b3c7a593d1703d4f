/** Boots Debian and asks it who it is: node dist/examples/hello.js */
import { Computer, prepareImage, shellProfile } from 'understudy';

const image = await prepareImage(shellProfile('trixie'), {
  onProgress: ({ message }) => console.error(message),
});
const computer = await Computer.create({ memory: 320 * 2 ** 20, harts: 1 });
const guest = await computer.boot({ image, name: 'hello', memory: 256 * 2 ** 20 });
const shell = await guest.shell();
console.log((await shell.check('uname -a')).trim());
console.log((await guest.shutdown()).kind);
await computer.close();
