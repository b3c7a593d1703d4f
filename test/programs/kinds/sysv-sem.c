// fails: finish resume
// System V semaphores: ids, keys, values, who operated last, and what is undone when a process ends.
#include "kind.h"
#include <sys/ipc.h>
#include <sys/sem.h>

static int op(int id, int index, int by, int flags) {
  struct sembuf o = {index, by, flags};
  return semop(id, &o, 1);
}

int main(void) {
  int zero = semget(5, 3, IPC_CREAT | 0640), gone = semget(IPC_PRIVATE, 1, 0600), id = semget(IPC_PRIVATE, 40, 0600);
  CHECK(zero == 0 && gone > 0 && id > 0 && semctl(gone, 0, IPC_RMID) == 0);
  int untouched = semget(6, 1, IPC_CREAT | 0604);
  for (int i = 0; i < 40; i++) CHECK(semctl(id, i, SETVAL, i * 800) == 0);
  CHECK(semctl(zero, 2, SETVAL, 1) == 0);
  CHECK(op(zero, 0, 7, 0) == 0 && op(zero, 2, -1, SEM_UNDO) == 0);
  CHECK(op(id, 39, 1000, SEM_UNDO) == 0 && op(id, 1, -300, SEM_UNDO) == 0);
  CHECK(semctl(id, 0, SETVAL, 32767) == 0 && op(id, 0, -32767, SEM_UNDO) == 0);

  int ask[2], up[2];
  CHECK(pipe(ask) == 0 && pipe(up) == 0);
  pid_t other = fork();
  if (other == 0) {
    char c;
    close(ask[1]);
    CHECK(op(id, 5, 11, SEM_UNDO) == 0 && op(id, 6, 3, 0) == 0 && op(id, 7, -4000, SEM_UNDO) == 0);
    CHECK(write(up[1], "x", 1) == 1);
    while (read(ask[0], &c, 1) == 1) {}
    CHECK(semctl(id, 5, GETPID) == getpid() && semctl(id, 39, GETPID) == getppid());
    CHECK(op(id, 5, 2, SEM_UNDO) == 0);
    _exit(0);
  }
  char c;
  CHECK(read(up[0], &c, 1) == 1);
  close(ask[0]);
  moved();

  CHECK(semget(5, 3, 0) == zero && semget(6, 1, 0) == untouched);
  struct semid_ds ds;
  CHECK(semctl(untouched, 0, IPC_STAT, &ds) == 0 && ds.sem_otime == 0 && (ds.sem_perm.mode & 0777) == 0604);
  CHECK(semctl(zero, 0, IPC_STAT, &ds) == 0 && ds.sem_otime != 0 && (ds.sem_perm.mode & 0777) == 0640);
  for (int i = 10; i < 39; i++) CHECK(semctl(id, i, GETVAL) == i * 800);
  CHECK(semctl(zero, 0, GETVAL) == 7 && semctl(zero, 1, GETVAL) == 0 && semctl(zero, 2, GETVAL) == 0);
  CHECK(semctl(id, 5, GETPID) == other && semctl(id, 6, GETPID) == other && semctl(id, 1, GETPID) == getpid());
  CHECK(semctl(id, 5, GETVAL) == 4011 && semctl(id, 0, GETVAL) == 0);
  close(ask[1]);
  ends_well(other);
  CHECK(semctl(id, 5, GETVAL) == 4000 && semctl(id, 6, GETVAL) == 4803 && semctl(id, 7, GETVAL) == 5600);
  // What this process has to give back, its exit gives back.
  pid_t looks = fork();
  if (looks == 0) _exit(0);
  ends_well(looks);
  int tell[2];
  CHECK(pipe(tell) == 0);
  if (fork() != 0) _exit(0);
  rest_ms(100);
  CHECK(semctl(zero, 2, GETVAL) == 1 && semctl(id, 39, GETVAL) == 31200 && semctl(id, 1, GETVAL) == 800);
  CHECK(semctl(id, 0, GETVAL) == 32767);
  right();
}
