/* A wall clock that the process sets itself, for tests; see clocked.py.
 *
 * Loaded before all other libraries. `set_clock_shift` says how many seconds are
 * added to what the C library says. The monotonic clock stays as it is. A wait
 * up to a time of the wall clock sees a change too, as the kernel's does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t kSliceNanos = 100 * 1000 * 1000;
static const int64_t kNanos = 1000 * 1000 * 1000;
/* Times of the monotonic clock are smaller. */
static const int64_t kFirstWallSecs = 1000 * 1000 * 1000;

static volatile int64_t shift = 0;

void set_clock_shift(int64_t secs) { shift = secs; }

typedef int (*gettime_fn)(clockid_t, struct timespec *);
typedef int (*timedwait_fn)(pthread_cond_t *, pthread_mutex_t *,
                            const struct timespec *);
typedef int (*clockwait_fn)(pthread_cond_t *, pthread_mutex_t *, clockid_t,
                            const struct timespec *);
typedef long (*syscall_fn)(long, ...);

static void *real(const char *name) {
  /* The oldest version of a symbol is not the one that is meant. */
  void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.17");
  if (!found) found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
  return found ? found : dlsym(RTLD_NEXT, name);
}

static int real_gettime(clockid_t clock, struct timespec *now) {
  return (int)syscall(SYS_clock_gettime, clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static gettime_fn next;
  if (!next) next = (gettime_fn)real("clock_gettime");
  int result = next(clock, now);
  if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += shift;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec found;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &found);
  now->tv_sec = found.tv_sec;
  now->tv_usec = found.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}

/* Returns whether a time of the shifted clock is over; else sets `slice`, a
 * time of the real one, soon. */
static int is_over(const struct timespec *end, struct timespec *slice) {
  real_gettime(CLOCK_REALTIME, slice);
  int64_t left = (end->tv_sec - slice->tv_sec - shift) * kNanos +
                 (end->tv_nsec - slice->tv_nsec);
  if (left <= 0) return 1;
  if (left > kSliceNanos) left = kSliceNanos;
  int64_t nanos = slice->tv_nsec + left;
  slice->tv_sec += nanos / kNanos;
  slice->tv_nsec = nanos % kNanos;
  return 0;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict end) {
  static timedwait_fn next;
  if (!next) next = (timedwait_fn)real("pthread_cond_timedwait");
  if (end->tv_sec < kFirstWallSecs) return next(cond, mutex, end);
  struct timespec slice;
  while (!is_over(end, &slice)) {
    int result = next(cond, mutex, &slice);
    if (result != ETIMEDOUT) return result;
  }
  return ETIMEDOUT;
}

int pthread_cond_clockwait(pthread_cond_t *restrict cond,
                           pthread_mutex_t *restrict mutex, clockid_t clock,
                           const struct timespec *restrict end) {
  static clockwait_fn next;
  if (!next) next = (clockwait_fn)dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  if (clock != CLOCK_REALTIME) return next(cond, mutex, clock, end);
  struct timespec slice;
  while (!is_over(end, &slice)) {
    int result = next(cond, mutex, clock, &slice);
    if (result != ETIMEDOUT) return result;
  }
  return ETIMEDOUT;
}

long syscall(long number, ...) {
  static syscall_fn next;
  if (!next) next = (syscall_fn)dlsym(RTLD_NEXT, "syscall");
  va_list list;
  long a[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) && a[3] &&
      (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) {
    struct timespec slice;
    if (is_over((const struct timespec *)a[3], &slice)) {
      errno = ETIMEDOUT;
      return -1;
    }
    long result = next(number, a[0], a[1], a[2], &slice, a[4], a[5]);
    /* Who waits looks at its clock, and goes on. */
    if (result == -1 && errno == ETIMEDOUT) errno = EINTR;
    return result;
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
