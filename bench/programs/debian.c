/* Debian's programs as they are, from its packages: what they write is what is compared. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Runs a command, gives its standard output to `take` (or nobody); returns its exit status. */
static int command(char *const argv[], void (*take)(void *, const char *, size_t), void *to) {
  int out[2];
  if (pipe(out) < 0) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, 0);
    dup2(out[1], 1);
    close(out[0]), close(out[1]);
    execv(argv[0], argv);
    _exit(127);
  }
  close(out[1]);
  char buffer[4096];
  ssize_t got;
  while ((got = read(out[0], buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
    if (got > 0 && take != NULL) take(to, buffer, (size_t)got);
  close(out[0]);
  int status;
  if (waitpid(pid, &status, 0) != pid) die("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static void digest(void *to, const char *bytes, size_t count) {
  uint64_t *h = to;
  for (size_t i = 0; i < count; i++) *h = (*h ^ (unsigned char)bytes[i]) * 0x100000001b3u;
}

/* FNV-1a of what the command writes. */
static uint64_t output_of(char *const argv[]) {
  uint64_t h = 0xcbf29ce484222325u;
  int status = command(argv, digest, &h);
  if (status != 0) {
    errno = status == 127 ? ENOENT : 0;
    die(argv[0]);
  }
  return h;
}

static void write_file(const char *path, const char *bytes, size_t count) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || write(fd, bytes, count) != (ssize_t)count || close(fd) < 0) die(path);
}

/* 512 KiB of something like text. */
static void gzip_setup(void) {
  static char text[512 << 10];
  static const char *const words[] = {"the ",  "machine ", "monitor ", "of ",  "a ",    "guest ", "hart ",  "runs ",
                                      "page ", "and ",     "when ",    "it ",  "stops", ", ",     ".\n",    "while ",
                                      "0x",    "memory ",  "to ",      "one ", "other", " is ",   "never ", "seen "};
  uint64_t random = 77;
  size_t n = 0;
  while (n + 24 < sizeof text) {
    uint64_t r = next_random(&random);
    const char *word = words[(r & 0xffff) * (r >> 16 & 0xff) % 24];
    size_t length = strlen(word);
    memcpy(text + n, word, length), n += length;
    if ((r >> 40 & 15) == 0) n += (size_t)sprintf(text + n, "%u", (unsigned)(r >> 48));
  }
  write_file("/tmp/text", text, n);
}
static uint64_t gzip_iterate(void) {
  char *const argv[] = {"/usr/bin/gzip", "-6nc", "/tmp/text", NULL};
  return output_of(argv);
}
const struct program gzip_program = {.name = "gzip", .setup = gzip_setup, .iterate = gzip_iterate};

static uint64_t sqlite3_iterate(void) {
  char *const argv[] = {
      "/usr/bin/sqlite3", "-batch", ":memory:",
      "create table t (id integer primary key, name text, value integer);"
      "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)"
      " insert into t select i, printf('name%d', i * 7919 % 5003), i * i % 1009 from n;"
      "create index by_name on t (name);"
      "select value, count(*), min(name), max(name) from t group by value order by count(*) desc, value limit 20;"
      "select sum(a.value * b.id) from t a join t b on b.name = 'name' || a.value;",
      NULL};
  return output_of(argv);
}
const struct program sqlite3_program = {.name = "sqlite3", .iterate = sqlite3_iterate};

/* The start of an interpreter with a large standard library, and a little work. */
static void python3_setup(void) {
  setenv("PYTHONHASHSEED", "0", 1);
  setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
  setenv("LC_ALL", "C.UTF-8", 1);
}
static uint64_t python3_iterate(void) {
  char *const argv[] = {"/usr/bin/python3", "-c",
                        "d = {str(i): i * i for i in range(3000)}\n"
                        "print(sum(d[str(i)] for i in range(0, 3000, 7)), sorted(d)[17])",
                        NULL};
  return output_of(argv);
}
const struct program python3_program = {.name = "python3", .setup = python3_setup, .iterate = python3_iterate};

/* Debian's redis-benchmark against Debian's redis-server over a UNIX socket. */
static pid_t server = -1;

static void no_output(void *to, const char *bytes, size_t count) { (void)to, (void)bytes, (void)count; }

static void redis_setup(void) {
  server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) dup2(null, 0), dup2(null, 1), dup2(null, 2);
    execl("/usr/bin/redis-server", "redis-server", "--port", "0", "--unixsocket", "/tmp/redis.sock", "--save", "",
          "--appendonly", "no", (char *)NULL);
    _exit(127);
  }
  char *const ping[] = {"/usr/bin/redis-cli", "-s", "/tmp/redis.sock", "ping", NULL};
  const struct timespec pause = {.tv_nsec = 50000000};
  for (int i = 0; i < 1200; i++) {
    if (waitpid(server, NULL, WNOHANG) == server) errno = ENOENT, die("redis-server");
    if (access("/tmp/redis.sock", F_OK) == 0 && command(ping, no_output, NULL) == 0) return;
    nanosleep(&pause, NULL);
  }
  die("redis-server does not answer");
}
static uint64_t redis_iterate(void) {
  char *const load[] = {"/usr/bin/redis-benchmark", "-s", "/tmp/redis.sock", "-q", "-t", "set,get,incr",
                        "-n", "500", "-c", "5", NULL};
  char *const reset[] = {"/usr/bin/redis-cli", "-s", "/tmp/redis.sock", "flushall", NULL};
  char *const look[] = {"/usr/bin/redis-cli", "-s", "/tmp/redis.sock", "eval",
                        "local k = redis.call('keys', '*') table.sort(k) local r = {} "
                        "for i, n in ipairs(k) do r[#r + 1] = n .. '=' .. redis.call('get', n) end "
                        "return table.concat(r, ' ')",
                        "0", NULL};
  uint64_t before = output_of(reset);
  if (command(load, no_output, NULL) != 0) die("redis-benchmark");
  /* Its figures are times; what it left in the data base is the same each time. */
  return mix(before, output_of(look));
}
static uint64_t redis_others(void) {
  clockid_t clock;
  struct timespec t;
  if (clock_getcpuclockid(server, &clock) != 0 || clock_gettime(clock, &t) != 0) die("redis-server");
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static void redis_finish(void) {
  kill(server, 9);
  waitpid(server, NULL, 0);
  unlink("/tmp/redis.sock");
}
const struct program redis_program = {
    .name = "redis", .setup = redis_setup, .iterate = redis_iterate, .others = redis_others, .finish = redis_finish};
