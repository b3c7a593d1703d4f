// IPC namespaces of processes' own in which there is nothing: their settings; what the domain's own has is not there.
#include "spaces.h"
#include "text.h"
#include <mqueue.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int step[2];
static void done(void) { CHECK(write(step[1], "x", 1) == 1); }
static void wait_done(void) { char c; CHECK(read(step[0], &c, 1) == 1); }
static void set(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}
static long is(const char *path) {
  char got[100] = "";
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && read(fd, got, 99) > 0 && close(fd) == 0);
  return atol(got);
}

static void nested(void) {
  CHECK(unshare(CLONE_NEWIPC) == 0);
  set("/proc/sys/kernel/msgmax", "4321");
  set("/proc/sys/fs/mqueue/msg_max", "17");
  set("/proc/sys/kernel/shm_rmid_forced", "1");
  done();
  until_told(0);
  CHECK(is("/proc/sys/kernel/msgmax") == 4321 && is("/proc/sys/fs/mqueue/msg_max") == 17 && is("/proc/sys/kernel/shm_rmid_forced") == 1);
  CHECK(is("/proc/sys/kernel/msgmni") == 32000);
  CHECK(shmget(77, 4096, 0) == -1 && errno == ENOENT && mq_open("/outer", O_RDONLY) == (mqd_t)-1);
  CHECK(shmget(78, 4096, IPC_CREAT | 0600) >= 0 && mq_open("/inner", O_RDWR | O_CREAT, 0600, 0) != (mqd_t)-1);
}

int main(void) {
  CHECK(pipe(step) == 0);
  int id = shmget(77, 4096, IPC_CREAT | 0600);
  mqd_t q = mq_open("/outer", O_RDWR | O_CREAT, 0600, 0);
  CHECK(id >= 0 && q != (mqd_t)-1 && mq_send(q, "hello", 5, 1) == 0);
  char *at = shmat(id, 0, 0);
  strcpy(at, "outer");
  pid_t a = fork();
  CHECK(a >= 0);
  if (a == 0) {
    CHECK(shmdt(at) == 0);
    nested();
    _exit(0);
  }
  wait_done();
  moved();
  CHECK(is("/proc/sys/kernel/msgmax") == 8192 && is("/proc/sys/kernel/shm_rmid_forced") == 0);
  CHECK(!same_space("ipc", 1, a) && same_space("ipc", 1, getpid()));
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  CHECK(!strcmp(at, "outer") && shmget(77, 4096, 0) == id && shmget(78, 4096, 0) == -1);
  CHECK(mq_open("/inner", O_RDONLY) == (mqd_t)-1);
  right();
}
