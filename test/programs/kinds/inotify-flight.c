// An inotify instance that only waits in a UNIX socket.
// refused: ^anon_inode:inotify that only waits in a UNIX socket$
#include "unix.h"
#include <sys/inotify.h>

int main(void) {
  int ends[2], fd = inotify_init(), got;
  CHECK(fd >= 0 && inotify_add_watch(fd, "/tmp", IN_CREATE) == 1 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 'x';
  struct iovec iov = {&byte, 1};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  *c = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  CHECK(sendmsg(ends[0], &m, 0) == 1 && close(fd) == 0);
  moved();
  CHECK(recvmsg(ends[1], &m, 0) == 1);
  memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
  CHECK(inotify_rm_watch(got, 1) == 0);
  right();
}
