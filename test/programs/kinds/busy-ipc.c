// Semaphores, messages and segments of System V, POSIX queues: used, made and removed all the time.
#include "busy.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int set, queue;
static struct { int inside, count; } *shared;

// A lock by a semaphore, given back by the kernel if its holder ends.
static void locks(volatile uint64_t *turns) {
  struct sembuf take = {0, -1, SEM_UNDO}, give = {0, 1, SEM_UNDO};
  CHECK(semop(set, &take, 1) == 0);
  CHECK(shared->inside++ == 0);
  shared->count++;
  CHECK(--shared->inside == 0 && semop(set, &give, 1) == 0);
  ++*turns;
}

static void ends_holding(volatile uint64_t *turns) {
  struct sembuf take = {0, -1, SEM_UNDO};
  pid_t pid = fork();
  if (pid == 0) _exit(semop(set, &take, 1) == 0 ? 6 : 1);
  ends_well_with(pid, 6);
  ++*turns;
}

static void talks(volatile uint64_t *turns) {
  struct { long type; uint64_t n[20]; } m = {1 + (*turns & 1)}, got;
  for (int i = 0; i < 20; i++) m.n[i] = *turns * 31 + i;
  CHECK(msgsnd(queue, &m, sizeof m.n, 0) == 0);
  CHECK(msgrcv(queue, &got, sizeof got.n, m.type, 0) == sizeof got.n && memcmp(got.n, m.n, sizeof m.n) == 0);
  ++*turns;
}

static void segments(volatile uint64_t *turns) {
  int id = shmget(IPC_PRIVATE, 300000, 0600 | IPC_CREAT);
  CHECK(id >= 0);
  char *p = shmat(id, 0, 0), *q = shmat(id, 0, SHM_RDONLY);
  CHECK(p != (void *)-1 && q != (void *)-1);
  memset(p, *turns, 300000);
  CHECK(q[299999] == (char)*turns && shmctl(id, IPC_RMID, 0) == 0);
  p[5] = 99;
  CHECK(q[5] == 99 && shmdt(p) == 0 && q[6] == (char)*turns && shmdt(q) == 0);
  ++*turns;
}

static void posix(volatile uint64_t *turns) {
  struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 64};
  mqd_t q = mq_open("/busy", O_CREAT | O_RDWR, 0600, &a);
  char got[64];
  unsigned priority;
  CHECK(q >= 0 && mq_send(q, "low", 4, 1) == 0 && mq_send(q, "high", 5, 9) == 0);
  CHECK(mq_receive(q, got, 64, &priority) == 5 && priority == 9 && strcmp(got, "high") == 0);
  CHECK(mq_receive(q, got, 64, &priority) == 4 && priority == 1 && mq_unlink("/busy") == 0 && mq_close(q) == 0);
  ++*turns;
}

int main(void) {
  union { int v; } one = {1};
  set = semget(IPC_PRIVATE, 1, 0600), queue = msgget(IPC_PRIVATE, 0600);
  CHECK(set >= 0 && queue >= 0 && semctl(set, 0, SETVAL, one) == 0);
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  void (*workers[])(volatile uint64_t *) = {locks, locks, ends_holding, talks, segments, posix};
  all_busy(workers, 6, 0);
  CHECK(semctl(set, 0, GETVAL) == 1 && semctl(set, 0, IPC_RMID) == 0 && msgctl(queue, IPC_RMID, 0) == 0);
  right();
}
