// A filter of a UNIX socket: it lets through what is at least three bytes long.
#include "unix.h"
#include <linux/filter.h>

int main(void) {
  int ends[2];
  struct sock_filter code[] = {{BPF_LD | BPF_W | BPF_LEN, 0, 0, 0}, {BPF_JMP | BPF_JGE | BPF_K, 0, 1, 3}, {BPF_RET | BPF_K, 0, 0, 0xffff}, {BPF_RET | BPF_K, 0, 0, 0}};
  struct sock_fprog program = {4, code};
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
  put(ends[0], "a");
  CHECK(setsockopt(ends[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
  moved();
  take(ends[1], "a");
  // The sender is told nothing.
  put(ends[0], "b"), has_nothing(ends[1]);
  put(ends[0], "long enough"), take(ends[1], "long enough"), has_nothing(ends[1]);
  right();
}
