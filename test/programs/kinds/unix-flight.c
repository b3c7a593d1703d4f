// Descriptors on their way: of files that are open here too, of some that nobody else has, several in one message, in every type of
// socket, and inside of sockets that are on their way themselves; a socket that waits in itself.
#include "unix.h"
#include <sys/eventfd.h>
#include <sys/mman.h>

int main(void) {
  int stream[2], packets[2], datagrams[2], inner[2], innermost[2], circle[2], pipe_fds[2], lonely[2], fds[4];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, inner) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, innermost) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, circle) == 0);
  CHECK(pipe(pipe_fds) == 0 && pipe(lonely) == 0);
  int event = eventfd(41, EFD_NONBLOCK);
  int memory = memfd_create("on its way", 0);
  CHECK(ftruncate(memory, 4096) == 0 && pwrite(memory, "kept", 4, 100) == 4);
  CHECK(write(lonely[1], "lonely", 6) == 6);
  // Bytes before, between and after; the reading end of a pipe that is open here, too.
  put(stream[0], "before ");
  pass(stream[0], "one", (int[]){pipe_fds[0]}, 1);
  pass(stream[0], "two", (int[]){lonely[0], lonely[1]}, 2);
  put(stream[0], " after");
  close(lonely[0]), close(lonely[1]);
  pass(packets[0], "event", (int[]){event, event}, 2);
  pass(datagrams[0], "memory", (int[]){memory}, 1);
  close(event), close(memory);
  // Both ends of a pair inside of another, of which one end is inside of a third.
  put(innermost[0], "deep");
  pass(inner[0], "inside", (int[]){innermost[0], innermost[1]}, 2);
  pass(packets[0], "socket", (int[]){inner[1]}, 1);
  close(innermost[0]), close(innermost[1]), close(inner[1]);
  // A socket that waits in its own queue.
  pass(circle[0], "circle", (int[]){circle[1], circle[0]}, 2);
  close(circle[0]);

  moved();

  CHECK(write(pipe_fds[1], "same", 4) == 4);
  char got[32] = {0};
  get(stream[1], "before one", fds, 1);
  CHECK(read(fds[0], got, sizeof got) == 4 && memcmp(got, "same", 4) == 0);
  get(stream[1], "two", fds, 2);
  CHECK(read(fds[0], got, sizeof got) == 6 && memcmp(got, "lonely", 6) == 0);
  CHECK(write(fds[1], "more", 4) == 4 && close(fds[1]) == 0);
  CHECK(read(fds[0], got, sizeof got) == 4 && read(fds[0], got, sizeof got) == 0);
  get(stream[1], " after", fds, 0);
  get(packets[1], "event", fds, 2);
  uint64_t n = 0;
  CHECK(read(fds[1], &n, 8) == 8 && n == 41 && write(fds[0], &n, 8) == 8 && read(fds[1], &n, 8) == 8);
  get(datagrams[1], "memory", fds, 1);
  CHECK(pread(fds[0], got, 4, 100) == 4 && memcmp(got, "kept", 4) == 0);
  get(packets[1], "socket", fds, 1);
  int socket_end = fds[0];
  put(socket_end, "reply"), take(inner[0], "reply");
  get(socket_end, "inside", fds, 2);
  take(fds[1], "deep"), put(fds[1], "up"), take(fds[0], "up");
  get(circle[1], "circle", fds, 2);
  put(fds[1], "round"), take(fds[0], "round"), put(fds[1], "again"), take(circle[1], "again");
  right();
}
