// SPDX-License-Identifier: MIT
// FAT time stamps: years since 1980, two-second units; read and written as UTC.
//
// Days are counted with the year starting in March, so that the leap day is the last one of a year
// and needs no special case.
#include "fs/fat32/layout.h"

enum { DAY = 86400, DAYS_TO_1980 = 3652, YEAR_MAX = 2107 };

// Days from 1 March of year 0 to the first day of a month; month counted from March = 0.
static int64_t days_of(int64_t year, unsigned month_from_march)
{
    return year * 365 + year / 4 - year / 100 + year / 400 + (month_from_march * 153 + 2) / 5;
}

static int64_t days_since_1970(int64_t year, unsigned month, unsigned day)
{
    unsigned from_march = (month + 9) % 12;
    return days_of(year - (month <= 2), from_march) + day - 1 - days_of(1969, 10);
}

static unsigned clamp(unsigned v, unsigned lo, unsigned hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

int64_t fat_time_ns(uint16_t date, uint16_t time, uint8_t cs)
{
    unsigned month = clamp(date >> 5 & 15, 1, 12), day = clamp(date & 31, 1, 31);
    int64_t s = days_since_1970(1980 + (date >> 9), month, day) * DAY;
    s += clamp(time >> 11, 0, 23) * 3600 + clamp(time >> 5 & 63, 0, 59) * 60;
    s += clamp((time & 31) * 2, 0, 58);
    return s * 1000000000 + (int64_t)clamp(cs, 0, 199) * 10000000;
}

void fat_time_from_ns(int64_t ns, uint8_t date[2], uint8_t time[2], uint8_t *cs)
{
    int64_t s = ns / 1000000000, last = days_since_1970(YEAR_MAX, 12, 31) * DAY + DAY - 2;
    if (s < (int64_t)DAYS_TO_1980 * DAY)
        s = (int64_t)DAYS_TO_1980 * DAY, ns = 0;
    if (s > last)
        s = last, ns = 0;
    int64_t days = s / DAY + days_of(1969, 10), year = days * 400 / 146097 + 1;
    while (days_of(year, 0) > days)
        year--;
    unsigned in_year = (unsigned)(days - days_of(year, 0)), month = (in_year * 5 + 2) / 153;
    unsigned day = in_year - (month * 153 + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    year += month <= 2;
    unsigned second = (unsigned)(s % DAY);
    fat_put16(date, (unsigned)(year - 1980) << 9 | month << 5 | day);
    fat_put16(time, second / 3600 << 11 | second / 60 % 60 << 5 | second % 60 / 2);
    if (cs)
        *cs = (uint8_t)(second % 2 * 100 + (unsigned)(ns % 1000000000 / 10000000));
}
