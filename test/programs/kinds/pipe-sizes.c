// fails: finish resume
// Pipes: a full one of 1 MiB, packets, one opened for reading and writing, one without readers, one without writers, one shrunk,
// spliced pages, hundreds.
#include "kind.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
int main(void) {
  static char in[1 << 20], out[1 << 20];
  for (size_t i = 0; i < sizeof in; i++) in[i] = i * 7 + i / 4096;
  int full[2], packets[2], orphan[2], dead[2], small[2], spliced[2];
  CHECK(pipe2(full, O_NONBLOCK) == 0 && fcntl(full[1], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
  CHECK(write(full[1], in, sizeof in) == sizeof in);
  CHECK(pipe2(packets, O_DIRECT | O_NONBLOCK) == 0);
  CHECK(write(packets[1], "one", 3) == 3 && write(packets[1], "two", 3) == 3 && write(packets[1], in, 4096) == 4096 && write(packets[1], "x", 1) == 1);
  CHECK(pipe(orphan) == 0 && write(orphan[1], "last words", 10) == 10 && close(orphan[1]) == 0);
  CHECK(pipe(dead) == 0 && close(dead[0]) == 0);
  CHECK(pipe2(small, O_NONBLOCK) == 0 && fcntl(small[0], F_SETPIPE_SZ, 4096) == 4096 && write(small[1], in, 4000) == 4000);
  char path[40];
  sprintf(path, "/proc/self/fd/%d", small[0]);
  int both = open(path, O_RDWR | O_NONBLOCK);
  CHECK(both >= 0);
  int m = memfd_create("m", 0);
  CHECK(write(m, in, 10000) == 10000 && pipe2(spliced, O_NONBLOCK) == 0);
  off_t at = 100;
  CHECK(splice(m, &at, spliced[1], 0, 9000, 0) == 9000);
  int many[300][2];
  for (int i = 0; i < 300; i++) {
    CHECK(pipe2(many[i], O_NONBLOCK) == 0);
    if (i % 2) CHECK(write(many[i][1], &i, sizeof i) == sizeof i);
  }
  moved();
  CHECK(read(full[0], out, sizeof out) == sizeof out && !memcmp(in, out, sizeof in));
  CHECK(fcntl(full[0], F_GETPIPE_SZ) == 1 << 20 && write(full[1], in, sizeof in) == sizeof in && write(full[1], "x", 1) == -1);
  CHECK(fcntl(packets[1], F_GETFL) == (O_WRONLY | O_DIRECT | O_NONBLOCK));
  CHECK(read(packets[0], out, 100) == 3 && !memcmp(out, "one", 3) && read(packets[0], out, 2) == 2 && !memcmp(out, "tw", 2));
  CHECK(read(packets[0], out, 8192) == 4096 && read(packets[0], out, 8192) == 1 && read(packets[0], out, 1) == -1);
  CHECK(write(packets[1], "a", 1) == 1 && write(packets[1], "b", 1) == 1 && read(packets[0], out, 9) == 1);
  CHECK(read(orphan[0], out, 100) == 10 && !memcmp(out, "last words", 10) && read(orphan[0], out, 1) == 0);
  signal(SIGPIPE, SIG_IGN);
  CHECK(write(dead[1], "x", 1) == -1 && errno == EPIPE);
  CHECK(fcntl(small[0], F_GETPIPE_SZ) == 4096 && read(small[0], out, 8192) == 4000 && !memcmp(in, out, 4000));
  CHECK(close(small[0]) == 0 && close(small[1]) == 0 && write(both, "self", 4) == 4 && read(both, out, 9) == 4);
  CHECK(read(spliced[0], out, sizeof out) == 9000 && !memcmp(out, in + 100, 9000));
  for (int i = 0; i < 300; i++) {
    int value, n = read(many[i][0], &value, sizeof value);
    CHECK(i % 2 ? n == sizeof value && value == i : n == -1 && errno == EAGAIN);
    CHECK(write(many[i][1], "x", 1) == 1 && read(many[i][0], out, 1) == 1);
  }
  right();
}
