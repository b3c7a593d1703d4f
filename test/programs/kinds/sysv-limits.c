// Settings of the IPC namespace: limits below what is there already, the next id, and those of POSIX message queues.
#include "kind.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static const char *SETTINGS[][2] = {
    {"kernel/shmmax", "4096"},       {"kernel/shmall", "8"},        {"kernel/shmmni", "17"},      {"kernel/sem", "300\t30000\t30\t40"},
    {"kernel/msgmax", "100"},        {"kernel/msgmni", "19"},       {"kernel/msgmnb", "200"},     {"kernel/shm_next_id", "4711"},
    {"kernel/shm_rmid_forced", "1"}, {"fs/mqueue/msg_max", "5"},    {"fs/mqueue/queues_max", "3"}, {"fs/mqueue/msgsize_max", "1024"},
    {"fs/mqueue/msg_default", "4"},  {"fs/mqueue/msgsize_default", "512"},
};
#define COUNT (sizeof SETTINGS / sizeof SETTINGS[0])

static FILE *setting(int i, const char *mode) {
  char path[100];
  sprintf(path, "/proc/sys/%s", SETTINGS[i][0]);
  return fopen(path, mode);
}

int main(void) {
  int large = shmget(4, 100000, IPC_CREAT | 0600), q = msgget(5, IPC_CREAT | 0600);
  char *p = shmat(large, 0, 0);
  p[99999] = 'x';
  struct { long type; char text[2000]; } m = {1, "long"};
  CHECK(q >= 0 && msgsnd(q, &m, 2000, 0) == 0);
  for (int i = 0; i < (int)COUNT; i++) {
    FILE *f = setting(i, "w");
    CHECK(f && fputs(SETTINGS[i][1], f) >= 0 && fclose(f) == 0);
  }
  moved();
  for (int i = 0; i < (int)COUNT; i++) {
    char text[100];
    FILE *f = setting(i, "r");
    CHECK(f && fgets(text, sizeof text, f) && fclose(f) == 0);
    text[strcspn(text, "\n")] = 0;
    if (strcmp(text, SETTINGS[i][1])) {
      printf("broken: %s is %s\n", SETTINGS[i][0], text);
      fflush(stdout);
      _exit(1);
    }
  }
  CHECK(p[99999] == 'x' && msgrcv(q, &m, 2000, 0, IPC_NOWAIT) == 2000);
  CHECK(shmget(IPC_PRIVATE, 8192, 0600) == -1 && errno == EINVAL);
  CHECK(shmget(IPC_PRIVATE, 4096, 0600) == 4711 || errno == ENOSPC);
  right();
}
