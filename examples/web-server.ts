/** A web server in a guest, reached through a port of this host: node dist/examples/web-server.js */
import { Computer, prepareImage, shellProfile } from 'understudy';

const image = await prepareImage(shellProfile('trixie'));
const computer = await Computer.create({ memory: 320 * 2 ** 20, harts: 1 });
const guest = await computer.boot({
  image,
  memory: 256 * 2 ** 20,
  // The script runs in place of a shell; the guest powers off when it ends.
  run: 'echo serving; exec httpd -f -p 80 -h /srv',
  files: { '/srv/index.html': '<h1>Served by Linux in Node</h1>\n' },
  forwards: [{ guestPort: 80 }],
});
await guest.console.waitFor('serving');
const [{ host, port }] = guest.forwards;
for (let tries = 0; ; tries++) {
  try {
    const response = await fetch(`http://${host}:${port}/`);
    console.log(response.status, (await response.text()).trim());
    break;
  } catch (error) {
    // The server needs a moment between its message and its socket.
    if (tries === 20) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
await computer.close();
