// A layer of the domain's own over its root: what is written there goes along, what is deleted stays deleted, what is below shows through.
// layer: yes
// hops: 3
#include "text.h"
#include <sys/mman.h>
#include <sys/mount.h>

// Files come and go, of the layer and of the tree below.
static void work(void) {
  for (uint64_t turn = 0;; turn++) {
    replace_in_turn("/data", turn);
    if (turn % 2 == 0) {
      CHECK(mkdir("/data/sometimes", 0700) == 0);
      put_with_mode("/data/sometimes/file", "x", 0600);
    } else CHECK(unlink("/data/sometimes/file") == 0 && rmdir("/data/sometimes") == 0);
    rest_ms(3);
  }
}

int main(void) {
  struct stat s, before;
  char got[100];
  umask(0);
  CHECK(stat("/", &before) == 0);
  CHECK(mkdir("/data", 0700) == 0 && chown("/data", 5, 6) == 0);
  put_with_mode("/data/file", "mine", 0640);
  CHECK(chown("/data/file", 1000, 1001) == 0 && link("/data/file", "/data/second") == 0);
  struct timespec times[2] = {{1000, 5}, {2000, 123456789}};
  CHECK(utimensat(AT_FDCWD, "/data/file", times, 0) == 0);
  CHECK(symlink("file", "/data/link") == 0 && mkfifo("/data/fifo", 0600) == 0);
  CHECK(mkdir("/etc/mine", 0755) == 0);
  put_with_mode("/etc/mine/conf", "conf", 0644);
  // Below is a tree: something of it is deleted, something changed.
  CHECK(unlink("/opt/kinds/hostname") == 0 || errno == ENOENT);
  CHECK(stat("/opt/hands", &s) == 0 && unlink("/opt/hands") == 0);
  CHECK(chmod("/bin/busybox", 0700) == 0);
  int fd = open("/data/open", O_CREAT | O_RDWR, 0600);
  CHECK(fd >= 0 && write(fd, "0123456789", 10) == 10 && lseek(fd, 4, SEEK_SET) == 4);
  int map = open("/data/map", O_CREAT | O_RDWR, 0600);
  CHECK(map >= 0 && ftruncate(map, 4096) == 0);
  char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  CHECK(p != MAP_FAILED && close(map) == 0);
  strcpy(p, "mapped");
  CHECK(mkdir("/mnt", 0755) == 0 || errno == EEXIST);
  CHECK(mount("own", "/mnt", "tmpfs", 0, 0) == 0);
  put_with_mode("/mnt/file", "mounted", 0600);
  pid_t worker = child(work);
  rest_ms(100);
  moved();
  CHECK(waitpid(worker, 0, WNOHANG) == 0);
  kill(worker, SIGKILL);
  holds("/data/second", "mine");
  CHECK(stat("/", &s) == 0 && s.st_mode == before.st_mode && s.st_uid == before.st_uid);
  CHECK(stat("/data", &s) == 0 && (s.st_mode & 07777) == 0700 && s.st_uid == 5 && s.st_gid == 6);
  CHECK(stat("/data/file", &s) == 0 && s.st_nlink == 2 && s.st_mode == (S_IFREG | 0640) && s.st_uid == 1000);
  CHECK(s.st_mtim.tv_sec == 2000 && s.st_mtim.tv_nsec == 123456789);
  CHECK(readlink("/data/link", got, 100) == 4 && stat("/data/fifo", &s) == 0 && S_ISFIFO(s.st_mode));
  holds("/etc/mine/conf", "conf");
  CHECK(access("/opt/hands", F_OK) == -1 && access("/opt/kinds/own-root", F_OK) == 0);
  CHECK(stat("/bin/busybox", &s) == 0 && (s.st_mode & 07777) == 0700);
  CHECK(read(fd, got, 3) == 3 && memcmp(got, "456", 3) == 0 && write(fd, "X", 1) == 1);
  holds("/data/open", "0123456X89");
  CHECK(strcmp(p, "mapped") == 0);
  strcpy(p, "change");
  CHECK((map = open("/data/map", O_RDONLY)) >= 0 && read(map, got, 7) == 7 && strcmp(got, "change") == 0);
  holds("/mnt/file", "mounted");
  put_with_mode("/data/new", "new", 0600);
  right();
}
