// timerfds of every clock: absolute ones on the wall clock, one told of changes of the clock, alarms, periodic ones with
// expirations that nobody has read, one that is not armed.
#include "kind.h"
#include <sys/timerfd.h>
static int64_t wall_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
static int make(int clock, int flags, long first_ms, long every_ms) {
  int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
  struct itimerspec t = {{every_ms / 1000, every_ms % 1000 * 1000000}, {first_ms / 1000, first_ms % 1000 * 1000000}};
  CHECK(fd >= 0 && timerfd_settime(fd, flags, &t, 0) == 0);
  return fd;
}
static long left(int fd, long *every) {
  struct itimerspec t;
  CHECK(timerfd_gettime(fd, &t) == 0);
  if (every) *every = t.it_interval.tv_sec * 1000 + t.it_interval.tv_nsec / 1000000;
  // Rounded up: one that is armed has something left.
  return t.it_value.tv_sec * 1000 + (t.it_value.tv_nsec + 999999) / 1000000;
}
// One whose end is a point in time has it still, however long it takes to look; the kernel's and our milliseconds may differ by one.
static void ends_at(int fd, int64_t (*clock)(void), int64_t end) {
  int64_t before = clock(), is = left(fd, 0), after = clock();
  if (is < end - after - 1 || is > end - before + 1) printf("broken: %ld ms are left and not %ld\n", (long)is, (long)(end - after));
  CHECK(is >= end - after - 1 && is <= end - before + 1);
}
static void info(int fd, const char *want) {
  char path[60], text[100];
  sprintf(path, "/proc/self/fdinfo/%d", fd);
  FILE *f = fopen(path, "r");
  int found = 0;
  while (fgets(text, sizeof text, f)) found |= !strncmp(text, want, strlen(want));
  fclose(f);
  if (!found) { printf("broken: no %s\n", want); fflush(stdout); _exit(1); }
}
int main(void) {
  uint64_t n;
  long every;
  int64_t wall = wall_ms(), mono = now_ms();
  int absolute = make(CLOCK_REALTIME, TFD_TIMER_ABSTIME, wall + 100000, 0);
  int cancel = make(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, wall + 200000, 0);
  int boot = make(CLOCK_BOOTTIME, 0, 300000, 70000), relative = make(CLOCK_REALTIME, 0, 400000, 0);
  int alarms = make(CLOCK_BOOTTIME_ALARM, 0, 500000, 0), wall_alarm = make(CLOCK_REALTIME_ALARM, TFD_TIMER_ABSTIME, wall + 600000, 0);
  int mono_abs = make(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, mono + 700000, 0);
  int unread = make(CLOCK_MONOTONIC, 0, 10, 10), once = make(CLOCK_MONOTONIC, 0, 10, 0), off = make(CLOCK_MONOTONIC, 0, 0, 0);
  rest_ms(100);
  moved();
  int64_t gone = now_ms() - mono;
  info(cancel, "settime flags: 03"), info(absolute, "settime flags: 01"), info(alarms, "clockid: 9"), info(wall_alarm, "clockid: 8");
  ends_at(absolute, wall_ms, wall + 100000), ends_at(cancel, wall_ms, wall + 200000);
  ends_at(wall_alarm, wall_ms, wall + 600000), ends_at(mono_abs, now_ms, mono + 700000);
  CHECK(labs(left(boot, &every) - (300000 - gone)) < 1500 && every == 70000);
  CHECK(labs(left(relative, 0) - (400000 - gone)) < 1500 && labs(left(alarms, 0) - (500000 - gone)) < 1500);
  CHECK(left(unread, &every) > 0 && every == 10 && read(unread, &n, 8) == 8 && n >= 10 && n < 2000);
  CHECK(left(once, 0) == 0 && read(once, &n, 8) == 8 && n == 1 && read(once, &n, 8) == -1 && errno == EAGAIN);
  CHECK(left(off, 0) == 0 && read(off, &n, 8) == -1 && errno == EAGAIN);
  // The wall clock is set: who wanted to be told is.
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  CHECK(clock_settime(CLOCK_REALTIME, &t) == 0);
  CHECK(read(cancel, &n, 8) == -1 && errno == ECANCELED);
  right();
}
