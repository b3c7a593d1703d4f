// fails: finish resume
// memfds: permissions, owner, seals of every sort with mappings, positions and flags of several descriptions, names with spaces
// and with "(deleted)", a sparse one of 3 GiB, one that can be executed at once.
#include "program.h"
#include <sys/mman.h>
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#define PAGE 4096
extern char **environ;
int main(int argc, char **argv) {
  if (argc > 1) _exit(42);
  struct stat st;
  int mode = memfd_create("with mode", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  CHECK(fchmod(mode, 0640) == 0 && fchown(mode, 12, 34) == 0 && ftruncate(mode, 100) == 0 && write(mode, "content", 7) == 7);
  int named = memfd_create("a b (deleted)", 0);
  CHECK(write(named, "named", 5) == 5);
  char path[40], text[100];
  sprintf(path, "/proc/self/fd/%d", named);
  int again = open(path, O_RDONLY | O_APPEND);
  CHECK(again >= 0 && lseek(again, 2, SEEK_SET) == 2);

  int sealed = memfd_create("sealed", MFD_ALLOW_SEALING), future = memfd_create("future", MFD_ALLOW_SEALING);
  CHECK(ftruncate(sealed, 2 * PAGE) == 0 && pwrite(sealed, "sealed", 7, PAGE) == 7);
  CHECK(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
  char *priv = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, sealed, 0);
  CHECK(priv != MAP_FAILED);
  priv[0] = 'p';
  CHECK(ftruncate(future, PAGE) == 0);
  char *w = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0);
  CHECK(fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
  strcpy(w, "future");
  char *r = mmap(0, PAGE, PROT_READ, MAP_SHARED, future, 0);
  CHECK(r != MAP_FAILED);

  int noexec = memfd_create("noexec", MFD_NOEXEC_SEAL), seals = fcntl(noexec, F_GET_SEALS);
  CHECK(noexec < 0 || (seals & F_SEAL_EXEC));
  int never = memfd_create("never sealed", 0);
  CHECK(fcntl(never, F_GET_SEALS) == F_SEAL_SEAL);

  int sparse = memfd_create("sparse", 0);
  CHECK(ftruncate(sparse, 3L << 30) == 0 && pwrite(sparse, "x", 1, (2L << 30) + PAGE) == 1 && lseek(sparse, (2L << 30) + 5, SEEK_SET) > 0);

  int program = memfd_create("program", MFD_CLOEXEC);
  copy_program(program);
  sprintf(path, "/proc/self/fd/%d", program);
  int readable = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(close(program) == 0);
  moved();
  pid_t runs = vfork();
  if (runs == 0) {
    char *args[] = {"program", "now", 0};
    execveat(readable, "", args, environ, AT_EMPTY_PATH);
    _exit(errno);
  }
  int status;
  CHECK(waitpid(runs, &status, 0) == runs);
  errno = WEXITSTATUS(status);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);

  CHECK(fstat(mode, &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_uid == 12 && st.st_gid == 34 && st.st_size == 100);
  CHECK(lseek(mode, 0, SEEK_CUR) == 7 && pread(mode, text, 7, 0) == 7 && !memcmp(text, "content", 7));
  CHECK(fcntl(mode, F_GETFD) == FD_CLOEXEC && fcntl(mode, F_GET_SEALS) == 0);
  sprintf(path, "/proc/self/fd/%d", named);
  memset(text, 0, sizeof text);
  CHECK(readlink(path, text, 99) > 0 && !strcmp(text, "/memfd:a b (deleted) (deleted)"));
  CHECK(lseek(named, 0, SEEK_CUR) == 5 && lseek(again, 0, SEEK_CUR) == 2 && read(again, text, 9) == 3 && !memcmp(text, "med", 3));
  CHECK(write(again, "x", 1) == -1 && errno == EBADF);
  CHECK(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  CHECK(priv[0] == 'p' && !strcmp(priv + PAGE, "sealed") && write(sealed, "x", 1) == -1 && errno == EPERM);
  CHECK(fcntl(future, F_GET_SEALS) == F_SEAL_FUTURE_WRITE && !strcmp(r, "future"));
  strcpy(w, "written");
  CHECK(!strcmp(r, "written") && mprotect(r, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
  CHECK(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0) == MAP_FAILED);
  CHECK(noexec < 0 || (fcntl(noexec, F_GET_SEALS) == seals && fstat(noexec, &st) == 0 && (st.st_mode & 0777) == 0666));
  CHECK(fcntl(never, F_GET_SEALS) == F_SEAL_SEAL && fcntl(never, F_ADD_SEALS, F_SEAL_GROW) == -1);
  CHECK(fstat(sparse, &st) == 0 && st.st_size == 3L << 30 && st.st_blocks < 100 && lseek(sparse, 0, SEEK_CUR) == (2L << 30) + 5);
  CHECK(pread(sparse, text, 2, (2L << 30) + PAGE - 1) == 2 && text[0] == 0 && text[1] == 'x');
  right();
}
