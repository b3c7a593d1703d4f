// A tree of processes with threads. The threads share memory under mutexes and condition variables (futexes),
// have floating-point state and thread-local memory of their own, hold robust mutexes, and know where they run
// through rseq. Children come and go.
#include "domain.h"
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THREADS 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t baton;
static pthread_mutex_t robust;
static __thread uint64_t mine;
static __thread pid_t tid;

// struct rseq of the kernel; the C library of these programs does not register one itself on RISC-V.
struct rseq_area { uint32_t cpu_id_start, cpu_id; uint64_t cs; uint32_t flags, node, concurrency, pad; };
static __thread volatile struct rseq_area area __attribute__((aligned(32)));
static void registerRseq(void) { CHECK(syscall(SYS_rseq, &area, 32, 0, 0xf1401073) == 0); }

static void *worker(void *argument) {
  const uint64_t me = (uintptr_t)argument;
  tid = syscall(SYS_gettid);
  registerRseq();
  double x = 0.1 * (me + 1), y = x;
  for (uint64_t n = 0;; n++) {
    // The baton goes round.
    pthread_mutex_lock(&lock);
    while (baton % THREADS != me) pthread_cond_wait(&changed, &lock);
    CHECK(baton / THREADS == n && mine == n * (me + 3));
    mine += me + 3;
    baton++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 20000; i++) x = x * 3.7 * (1 - x);
    for (int i = 0; i < 20000; i++) y = y * 3.7 * (1 - y);
    CHECK(x == y);
    CHECK(syscall(SYS_gettid) == tid);
    // Linux 7.2 writes it only where it has changed, so a mark may stay; but whoever is registered is told so (rseq(2)).
    sched_yield();
    rest_ms(1);
    CHECK(area.cpu_id < 64);
    CHECK(syscall(SYS_rseq, &area, 32, 0, 0xf1401073) < 0 && errno == EBUSY);
  }
  return 0;
}

static void *holder(void *_) {
  CHECK(pthread_mutex_lock(&robust) == 0);
  for (uint64_t before = baton;;) {
    rest_ms(1);
    if (baton > before + 40) return 0; // dies holding it
  }
}

static void team(void) {
  pthread_t t;
  for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&t, 0, worker, (void *)i) == 0);
  pthread_mutexattr_t a;
  pthread_mutexattr_init(&a);
  pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
  CHECK(pthread_mutex_init(&robust, &a) == 0);
}

int main(void) {
  pid_t forever[2];
  for (int i = 0; i < 2; i++) {
    forever[i] = fork();
    if (forever[i] == 0) {
      if (i == 0) {
        if (fork() == 0) {
          team();
          for (;;) pause();
        }
        wait(0);
        CHECK(!"a grandchild ended");
      }
      team();
      for (;;) pause();
    }
  }
  team();
  for (uint64_t turn = 0;; turn++) {
    // A thread that dies with a robust mutex leaves word to the next.
    pthread_t h;
    CHECK(pthread_create(&h, 0, holder, 0) == 0);
    rest_ms(20);
    int r = pthread_mutex_lock(&robust);
    if (r == EOWNERDEAD) CHECK(pthread_mutex_consistent(&robust) == 0);
    else CHECK(r == 0);
    pthread_mutex_unlock(&robust);
    CHECK(pthread_join(h, 0) == 0);
    if (r == 0) { r = pthread_mutex_lock(&robust); CHECK(r == EOWNERDEAD); pthread_mutex_consistent(&robust); pthread_mutex_unlock(&robust); }

    pid_t child = fork();
    if (child == 0) _exit(turn % 200);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == (int)(turn % 200));
    CHECK(waitpid(-1, &status, WNOHANG) == 0);
    turn_done(turn);
  }
}
