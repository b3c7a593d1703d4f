// fails: finish resume
// Asynchronous I/O: an idle context goes on.
#include "kind.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>
int main(void) {
  aio_context_t ctx = 0;
  CHECK(syscall(SYS_io_setup, 10, &ctx) == 0);
  int fd = open("/tmp/aio", O_RDWR | O_CREAT | O_TRUNC, 0600);
  char buf[100] = "hello";
  struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)buf, .aio_nbytes = 5, .aio_data = 77}, *cbs = &cb;
  struct io_event e;
  for (int i = 0; i < 25; i++) {
    CHECK(syscall(SYS_io_submit, ctx, 1, &cbs) == 1);
    CHECK(syscall(SYS_io_getevents, ctx, 1, 1, &e, 0) == 1 && e.data == 77 && e.res == 5);
  }
  // Done, and not yet asked about.
  cb.aio_data = 78;
  CHECK(syscall(SYS_io_submit, ctx, 1, &cbs) == 1);
  // One with many events, wrapped around, and three that were not asked about.
  aio_context_t many = 0;
  CHECK(syscall(SYS_io_setup, 300, &many) == 0);
  for (int i = 0; i < 700; i++) {
    cb.aio_data = i;
    CHECK(syscall(SYS_io_submit, many, 1, &cbs) == 1);
    if (i < 697) CHECK(syscall(SYS_io_getevents, many, 1, 1, &e, 0) == 1 && e.data == (uint64_t)i);
  }
  cb.aio_data = 78;
  moved();
  for (int i = 697; i < 700; i++) CHECK(syscall(SYS_io_getevents, many, 1, 1, &e, 0) == 1 && e.data == (uint64_t)i);
  struct timespec none = {0, 0};
  CHECK(syscall(SYS_io_getevents, many, 1, 1, &e, &none) == 0);
  CHECK(syscall(SYS_io_getevents, ctx, 1, 1, &e, 0) == 1 && e.data == 78 && e.res == 5);
  for (int i = 0; i < 300; i++) {
    CHECK(syscall(SYS_io_submit, ctx, 1, &cbs) == 1);
    CHECK(syscall(SYS_io_getevents, ctx, 1, 1, &e, 0) == 1 && e.res == 5);
  }
  CHECK(syscall(SYS_io_destroy, ctx) == 0);
  right();
}
