// fails: finish resume
// System V segments: the very first with id 0, one that nobody has attached, one read-only, one in two processes, one of which
// only a part is left, one marked for destruction, one of an owner that is not root, a sparse one.
#include "kind.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define PAGE 4096

static int nattch(int id) {
  struct shmid_ds ds;
  CHECK(shmctl(id, IPC_STAT, &ds) == 0);
  return ds.shm_nattch;
}

int main(void) {
  int zero = shmget(1234, 3 * PAGE, IPC_CREAT | IPC_EXCL | 0640);
  CHECK(zero == 0);
  char *a = shmat(zero, 0, 0);
  CHECK(a != (void *)-1);
  strcpy(a + PAGE, "zero");

  int gone = shmget(IPC_PRIVATE, PAGE, 0600);
  CHECK(gone > 0 && shmctl(gone, IPC_RMID, 0) == 0);

  int alone = shmget(77, 10 * PAGE + 10, IPC_CREAT | 0666);
  char *p = shmat(alone, 0, 0);
  strcpy(p + 9 * PAGE, "alone");
  CHECK(shmdt(p) == 0);
  struct shmid_ds owner;
  CHECK(shmctl(alone, IPC_STAT, &owner) == 0);
  owner.shm_perm.uid = 1000, owner.shm_perm.gid = 1001, owner.shm_perm.mode = 0604;
  CHECK(shmctl(alone, IPC_SET, &owner) == 0);

  CHECK(seteuid(33) == 0);
  int foreign = shmget(IPC_PRIVATE, PAGE, 0777);
  CHECK(foreign > 0 && seteuid(0) == 0);

  const char *only = shmat(zero, 0, SHM_RDONLY);
  CHECK(only != (void *)-1 && nattch(zero) == 2);

  int part = shmget(IPC_PRIVATE, 5 * PAGE, 0600);
  char *whole = shmat(part, 0, 0);
  for (int i = 0; i < 5; i++) whole[i * PAGE] = 'a' + i;
  CHECK(munmap(whole, PAGE) == 0 && munmap(whole + 3 * PAGE, PAGE) == 0 && nattch(part) == 2);
  CHECK(mprotect(whole + 2 * PAGE, PAGE, PROT_READ) == 0 && nattch(part) == 3);

  int doomed = shmget(99, PAGE, IPC_CREAT | 0600);
  char *d = shmat(doomed, 0, 0);
  strcpy(d, "doomed");
  CHECK(shmctl(doomed, IPC_RMID, 0) == 0);

  int sparse = shmget(IPC_PRIVATE, 3UL << 30, SHM_NORESERVE | 0600);
  CHECK(sparse > 0);
  char *s = shmat(sparse, 0, 0);
  CHECK(s != (void *)-1);
  s[(2UL << 30) + 5] = 's';

  int ask[2];
  CHECK(pipe(ask) == 0);
  pid_t other = fork();
  if (other == 0) {
    char c;
    close(ask[1]);
    while (read(ask[0], &c, 1) == 1) {}
    a[2 * PAGE] = 'c';
    CHECK(!strcmp(d, "doomed") && shmdt(s) == 0);
    _exit(0);
  }
  CHECK(nattch(zero) == 4);

  moved();

  CHECK(nattch(zero) == 4 && nattch(part) == 6 && nattch(doomed) == 2 && nattch(alone) == 0 && nattch(foreign) == 0);
  CHECK(!strcmp(a + PAGE, "zero") && !strcmp(only + PAGE, "zero"));
  a[0] = 'x';
  CHECK(only[0] == 'x');
  CHECK(mprotect((void *)only, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
  CHECK(mprotect(whole + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
  CHECK(whole[PAGE] == 'b' && whole[2 * PAGE] == 'c' && whole[4 * PAGE] == 'e');
  close(ask[1]), close(ask[0]);
  ends_well(other);
  CHECK(a[2 * PAGE] == 'c' && s[(2UL << 30) + 5] == 's' && s[0] == 0);

  struct shmid_ds ds;
  CHECK(shmget(1234, 0, 0) == zero && shmget(77, 0, 0) == alone);
  CHECK(shmctl(alone, IPC_STAT, &ds) == 0 && ds.shm_segsz == 10 * PAGE + 10 && ds.shm_perm.uid == 1000);
  CHECK(ds.shm_perm.gid == 1001 && ds.shm_perm.cuid == 0 && (ds.shm_perm.mode & 0777) == 0604);
  CHECK(!strcmp((p = shmat(alone, 0, 0)) + 9 * PAGE, "alone"));
  CHECK(shmctl(foreign, IPC_STAT, &ds) == 0 && ds.shm_perm.cuid == 33 && ds.shm_perm.uid == 33);
  CHECK(shmctl(zero, IPC_STAT, &ds) == 0 && (ds.shm_perm.mode & 0777) == 0640 && ds.shm_segsz == 3 * PAGE);
  CHECK(shmctl(doomed, IPC_STAT, &ds) == 0 && (ds.shm_perm.mode & SHM_DEST) && ds.shm_nattch == 1);
  CHECK(!strcmp(d, "doomed") && shmdt(d) == 0);
  CHECK(shmctl(doomed, IPC_STAT, &ds) == -1);
  // What a program detaches is whole again, with the part that it took away.
  CHECK(shmdt(a) == 0 && nattch(zero) == 1);
  right();
}
