/*
 * The runner: takes orders from the host on standard input, answers on standard output.
 *
 *   host                      runner
 *                             @serve                          once, when it is there
 *   run NAME COUNT COPIES
 *                             @ready                          all copies have set up and wait
 *   go
 *                             @done CHECKSUM WALL CPU         all copies are through; nanoseconds
 *                             @exit
 *   quit
 *
 * Between @ready and go, and after @done, nothing runs: that is when the host reads the CPU time
 * of the machine that this runs on. Instead of @ready or @done there may be "@failed WHY".
 *
 * Started with the argument "nothing" it returns at once: what forkexec executes.
 */
#define _GNU_SOURCE
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct result {
  uint64_t checksum, cpu;
  char failure[80];
};

const char *own_path;
static int result_pipe = -1;

void die(const char *what) {
  struct result result = {0};
  snprintf(result.failure, sizeof result.failure, "%s: %s", what, strerror(errno));
  if (write(result_pipe, &result, sizeof result) < 0) _exit(2);
  _exit(1);
}

static uint64_t wall_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t rusage_time(int who) {
  struct rusage u;
  getrusage(who, &u);
  return ((uint64_t)u.ru_utime.tv_sec + (uint64_t)u.ru_stime.tv_sec) * 1000000000u +
         ((uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec) * 1000u;
}

static uint64_t cpu_time(const struct program *program) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  uint64_t own = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
  return own + rusage_time(RUSAGE_CHILDREN) + (program->others != NULL ? program->others() : 0);
}

/* One copy of a program, in a process of its own. */
static void run_copy(const struct program *program, long count, int ready, int go) {
  char byte = 0;
  if (program->setup != NULL) program->setup();
  if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1) die("pipe");
  uint64_t before = cpu_time(program);
  struct result result = {.checksum = program->iterate()};
  for (long i = 1; i < count; i++) {
    uint64_t again = program->iterate();
    if (again != result.checksum) {
      snprintf(result.failure, sizeof result.failure, "iteration %ld gives %016llx after %016llx", i,
               (unsigned long long)again, (unsigned long long)result.checksum);
      break;
    }
  }
  result.cpu = cpu_time(program) - before;
  if (write(result_pipe, &result, sizeof result) != (ssize_t)sizeof result) _exit(2);
  if (program->finish != NULL) program->finish();
  _exit(0);
}

/* A line without its end, from a descriptor that forked processes share: no buffering ahead. */
static int read_line(char *line, size_t size) {
  size_t n = 0;
  for (;;) {
    char c;
    ssize_t got = read(0, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    if (c == '\n') break;
    if (c != '\r' && n + 1 < size) line[n++] = c;
  }
  line[n] = 0;
  return 1;
}

static void fail(const char *why) {
  printf("@failed %s\n", why);
  fflush(stdout);
}

static void run(const char *name, long count, int copies) {
  char line[80];
  const struct program *program = find_program(name);
  if (program == NULL) return fail("no such program");
  int results[2], ready[2], go[2];
  if (pipe(results) < 0 || pipe(ready) < 0 || pipe(go) < 0) return fail("pipe");
  result_pipe = results[1];
  for (int i = 0; i < copies; i++) {
    pid_t pid = fork();
    if (pid < 0) return fail("fork");
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      /* The other end is the parent's alone, so that its death is noticed. */
      close(results[0]), close(ready[0]), close(go[1]);
      run_copy(program, count, ready[1], go[0]);
    }
  }
  close(results[1]), close(ready[1]), close(go[0]);
  struct result first = {0};
  char byte;
  int waiting = 0;
  while (waiting < copies && read(ready[0], &byte, 1) == 1) waiting++;
  if (waiting == copies) {
    printf("@ready\n");
    fflush(stdout);
    if (!read_line(line, sizeof line) || strcmp(line, "go") != 0) exit(1);
  }
  uint64_t before = wall_time(), cpu = 0;
  for (int i = 0; i < waiting; i++)
    if (write(go[1], &byte, 1) != 1) break;
  for (int i = 0; i < copies; i++) {
    struct result result;
    if (read(results[0], &result, sizeof result) != (ssize_t)sizeof result) {
      snprintf(result.failure, sizeof result.failure, "%s", "died");
    } else if (i > 0 && result.failure[0] == 0 && result.checksum != first.checksum) {
      snprintf(result.failure, sizeof result.failure, "%s", "two copies disagree");
    }
    cpu += result.cpu;
    if (i == 0 || result.failure[0] != 0) first = result;
    if (result.failure[0] != 0) break;
  }
  uint64_t wall = wall_time() - before;
  if (first.failure[0] != 0) {
    fail(first.failure);
  } else {
    printf("@done %016llx %llu %llu\n", (unsigned long long)first.checksum, (unsigned long long)wall,
           (unsigned long long)cpu);
    fflush(stdout);
  }
  close(results[0]), close(ready[0]), close(go[1]);
  while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
    ;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "nothing") == 0) return 0;
  own_path = argv[0];
  struct termios mode;
  if (tcgetattr(0, &mode) == 0) {
    cfmakeraw(&mode);
    tcsetattr(0, TCSANOW, &mode);
  }
  printf("@serve\n");
  fflush(stdout);
  char line[80], name[40];
  long count;
  int copies;
  while (read_line(line, sizeof line) && strcmp(line, "quit") != 0) {
    if (sscanf(line, "run %39s %ld %d", name, &count, &copies) == 3 && count > 0 && copies > 0 && copies <= 64)
      run(name, count, copies);
    else
      fail("not understood");
    printf("@exit\n");
    fflush(stdout);
  }
  return 0;
}
