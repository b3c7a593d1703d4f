// IPC namespaces of processes' own in which there is nothing: their settings; what the domain's own has is not there.
#include "spaces.h"
#include "text.h"
#include <mqueue.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void nested(void) {
  CHECK(unshare(CLONE_NEWIPC) == 0);
  put("/proc/sys/kernel/msgmax", "4321");
  put("/proc/sys/fs/mqueue/msg_max", "17");
  put("/proc/sys/kernel/shm_rmid_forced", "1");
  done();
  until_told(0);
  holds("/proc/sys/kernel/msgmax", "4321\n");
  holds("/proc/sys/fs/mqueue/msg_max", "17\n");
  holds("/proc/sys/kernel/shm_rmid_forced", "1\n");
  holds("/proc/sys/kernel/msgmni", "32000\n");
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
  holds("/proc/sys/kernel/msgmax", "8192\n");
  holds("/proc/sys/kernel/shm_rmid_forced", "0\n");
  CHECK(!same_space("ipc", 1, a) && same_space("ipc", 1, getpid()));
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  CHECK(!strcmp(at, "outer") && shmget(77, 4096, 0) == id && shmget(78, 4096, 0) == -1);
  CHECK(mq_open("/inner", O_RDONLY) == (mqd_t)-1);
  right();
}
