// A folder of which half was read: the other half comes, and nothing twice.
#include "file.h"

#define DIR_ "/tmp/folder-position"

int main(void) {
  char path[64];
  int seen[200] = {0};
  own_folder(DIR_);
  for (int i = 0; i < 200; i++) {
    snprintf(path, sizeof path, DIR_ "/%d", i);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0);
    // Those that are written go along.
    if (i % 2) CHECK(close(fd) == 0 && unlink(path) == 0);
  }
  DIR *all = opendir(DIR_), *end = opendir(DIR_);
  int half = open(DIR_, O_RDONLY | O_DIRECTORY);
  CHECK(all && end && half >= 0);
  while (readdir(end)) {}
  char buf[1200];
  long n = getdents64(half, buf, sizeof buf);
  CHECK(n > 0);
  for (int pass = 0; pass < 2; pass++) {
    do {
      for (long at = 0; at < n;) {
        struct dirent64 *d = (void *)(buf + at);
        at += d->d_reclen;
        if (d->d_name[0] != '.') seen[atoi(d->d_name)]++;
      }
    } while (pass == 1 && (n = getdents64(half, buf, sizeof buf)) > 0);
    if (pass == 0) moved(), n = getdents64(half, buf, sizeof buf);
  }
  for (int i = 0; i < 200; i++) CHECK(seen[i] == !(i % 2));
  CHECK(readdir(end) == 0);
  right();
}
