// Never comes to rest: threads begin and end, processes are begotten, execute, are stopped and continued, and a parent
// waits in vfork for as long as its child likes. One process counts, and hears of any that did not go as it should.
#include "domain.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static void *briefly(void *ms) { rest_ms((intptr_t)ms); return ms; }

static void threads(void) {
  for (intptr_t ms = 0;; ms = (ms + 3) % 11) {
    pthread_t t;
    void *answer;
    CHECK(pthread_create(&t, 0, briefly, (void *)ms) == 0 && pthread_join(t, &answer) == 0 && answer == (void *)ms);
  }
}

static void ended(pid_t child, int code) {
  int status;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void vforks(void) {
  for (int ms = 0;; ms = (ms + 7) % 40) {
    pid_t child = vfork();
    if (child == 0) { struct timespec t = {0, ms * 1000000}; nanosleep(&t, 0); _exit(7); }
    ended(child, 7);
    rest_ms(60);
  }
}

static void executes(char *self) {
  for (;;) {
    pid_t child = fork();
    if (child == 0) { execl(self, self, "child", (char *)0); _exit(1); }
    ended(child, 9);
    rest_ms(10);
  }
}

static void jobs(void) {
  for (;;) {
    int status;
    pid_t child = fork();
    if (child == 0) for (;;) pause();
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    rest_ms(10);
    CHECK(kill(child, SIGCONT) == 0);
    rest_ms(60);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    rest_ms(60);
  }
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "child")) { rest_ms(3); return 9; }
  if (fork() == 0) threads();
  if (fork() == 0) vforks();
  if (fork() == 0) executes(argv[0]);
  if (fork() == 0) jobs();
  for (uint64_t turn = 0;; turn++) {
    int status;
    CHECK(waitpid(-1, &status, WNOHANG) == 0);
    turn_done(turn);
    rest_ms(50);
  }
}
