/* Has the real-time clock interrupt in two seconds, and waits for it. */
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* struct rtc_time has the first fields of struct tm, and no others. */
static time_t seconds(const struct rtc_time *time)
{
	struct tm tm = { 0 };
	memcpy(&tm, time, sizeof *time);
	return timegm(&tm);
}

int main(void)
{
	int fd = open("/dev/rtc0", O_RDONLY);
	struct rtc_time now;
	struct rtc_wkalrm alarm = { .enabled = 1 };
	unsigned long data = 0;
	struct tm tm;

	if (fd < 0 || ioctl(fd, RTC_RD_TIME, &now) < 0) {
		perror("/dev/rtc0");
		return 1;
	}
	time_t due = seconds(&now) + 2;
	gmtime_r(&due, &tm);
	memcpy(&alarm.time, &tm, sizeof alarm.time);
	if (ioctl(fd, RTC_WKALM_SET, &alarm) < 0 || read(fd, &data, sizeof data) != sizeof data) {
		perror("alarm");
		return 1;
	}
	ioctl(fd, RTC_RD_TIME, &now);
	printf("%s, %ld s late\n", data & RTC_AF ? "alarm" : "something else", (long)(seconds(&now) - due));
	return 0;
}
