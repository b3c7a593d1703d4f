// fails: shape finish
// Deleted special files: a FIFO with what waits in it, a device node, the file of a UNIX socket.
#include "file.h"
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define DIR_ "/tmp/deleted-special"

int main(void) {
  char got[16];
  own_folder(DIR_);
  CHECK(mkfifo(DIR_ "/fifo", 0622) == 0);
  int both = open(DIR_ "/fifo", O_RDWR), in = open(DIR_ "/fifo", O_RDONLY | O_NONBLOCK), out = open(DIR_ "/fifo", O_WRONLY);
  CHECK(both >= 0 && in >= 0 && out >= 0 && write(out, "waiting", 7) == 7);
  CHECK(mknod(DIR_ "/null", S_IFCHR | 0666, makedev(1, 3)) == 0);
  CHECK(mknod(DIR_ "/zero", S_IFCHR | 0644, makedev(1, 5)) == 0);
  int null = open(DIR_ "/null", O_WRONLY), zero = open(DIR_ "/zero", O_RDONLY), path = open(DIR_ "/zero", O_PATH);
  CHECK(null >= 0 && zero >= 0 && path >= 0);
  CHECK(unlink(DIR_ "/fifo") == 0 && unlink(DIR_ "/null") == 0 && unlink(DIR_ "/zero") == 0);
  CHECK(symlink("nowhere", DIR_ "/link") == 0);
  int link = open(DIR_ "/link", O_PATH | O_NOFOLLOW);
  CHECK(link >= 0 && unlink(DIR_ "/link") == 0);
  struct stat fifo = stat_of(in), n = stat_of(null), z = stat_of(zero), l = stat_of(link);
  moved();
  same_stat(fifo, stat_of(in));
  same_stat(n, stat_of(null));
  same_stat(z, stat_of(zero));
  same_stat(l, stat_of(link));
  CHECK(readlinkat(link, "", got, sizeof got) == 7 && memcmp(got, "nowhere", 7) == 0);
  CHECK(strcmp(link_of(in), DIR_ "/fifo (deleted)") == 0 && strcmp(link_of(null), DIR_ "/null (deleted)") == 0);
  CHECK(same_file(stat_of(both), stat_of(in)) && same_file(stat_of(out), stat_of(in)));
  CHECK(read(in, got, sizeof got) == 7 && memcmp(got, "waiting", 7) == 0);
  CHECK(read(in, got, sizeof got) == -1 && errno == EAGAIN);
  CHECK(write(both, "more", 4) == 4 && read(in, got, sizeof got) == 4);
  CHECK(write(null, "x", 1) == 1 && read(zero, got, 4) == 4 && memcmp(got, "\0\0\0\0", 4) == 0);
  CHECK(same_file(stat_of(path), stat_of(zero)) && (fcntl(path, F_GETFL) & O_PATH) != 0);
  right();
}
