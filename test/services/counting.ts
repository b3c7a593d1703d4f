import { setTimeout as sleep } from 'node:timers/promises';
import { ownFolders } from './folders.js';
import type { Service } from './service.js';

/**
 * What shows numbers from 1 on, a line each: none is missing, none comes twice, and there are more and more. `paths`: folders
 * that it writes to.
 */
export const counting = (name: string, script: string, ...paths: readonly string[]): Service => ({
  name,
  run: { argv: ['/bin/sh', '-c', script], folders: ownFolders(...paths) },
  async begin({ lines }) {
    for (const end = performance.now() + 150_000; lines().length < 2; await sleep(100)) {
      if (performance.now() > end) throw new Error(`it writes ${JSON.stringify(lines())}`);
    }
    return {
      finish: async () => {
        const before = lines().length;
        for (let turn = 0; turn < 900 && lines().length === before; turn++) await sleep(100);
        const all = lines();
        const wrong = all.findIndex((line, i) => line !== String(i + 1));
        if (wrong >= 0) return [`line ${wrong + 1} is ${JSON.stringify(all[wrong])}`];
        return all.length > before ? [] : ['nothing new comes'];
      },
    };
  },
});

/** The shell that started it has ended; it has no terminal and its own way with SIGHUP. */
export const nohup = counting(
  'nohup',
  `nohup sh -c 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.2; done' 2> /dev/null &
exit 0`,
);

/** Messages through its socket, by a process each, end up in a file. */
export const rsyslog = counting(
  'rsyslog',
  `cat > /run/rsyslog.conf << 'END'
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/run/log")
template(name="plain" type="string" string="%msg:::drop-last-lf%\\n")
*.* action(type="omfile" file="/run/messages" template="plain")
END
: > /run/messages
rsyslogd -n -f /run/rsyslog.conf -i NONE &
until [ -S /run/log ]; do sleep 0.1; done
(i=0; while :; do i=$((i + 1)); logger -u /run/log --rfc3164 -t '' -- "$i"; sleep 0.3; done) &
tail -f /run/messages | sed -u 's/.* //'`,
);

/** A supervisor, a service that it starts again each time it ends, and its logger at the other end of a pipe. */
export const s6 = counting(
  's6',
  `mkdir -p /run/service/count/log
echo 0 > /run/number
cat > /run/service/count/run << 'END'
#!/bin/sh
n=$(($(cat /run/number) + 1))
echo $n > /run/number
echo $n
sleep 0.5
END
cat > /run/service/count/log/run << 'END'
#!/bin/sh
exec cat >> /proc/1/root/run/out
END
chmod +x /run/service/count/run /run/service/count/log/run
: > /run/out
tail -f /run/out &
exec s6-svscan /run/service`,
);

/** A job each minute. */
export const cron = counting(
  'cron',
  `echo 0 > /run/number
: > /run/out
cat > /run/job << 'END'
n=$(($(cat /run/number) + 1))
echo $n > /run/number
echo $n >> /run/out
END
echo '* * * * * sh /run/job' | crontab -
cron
exec tail -f /run/out`,
  '/var/spool/cron',
);
