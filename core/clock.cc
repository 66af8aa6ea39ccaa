#include "core/clock.h"

#include <fmt/format.h>

#include <cstdio>

namespace cusp {

std::string to_rfc3339(WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{floor<milliseconds>(time - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<WallTime> from_rfc3339(const std::string& text) {
  using namespace std::chrono;
  int year_number = 0, hour = 0, minute = 0, second = 0, millisecond = 0, end = 0;
  unsigned month_number = 0, day_number = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2uT%2d:%2d:%2d.%3dZ%n", &year_number, &month_number,
                  &day_number, &hour, &minute, &second, &millisecond, &end) != 7)
    return std::nullopt;
  const auto time = sys_days{year{year_number} / month{month_number} / day{day_number}} +
                    hours{hour} + minutes{minute} + seconds{second} + milliseconds{millisecond};
  // Written back it must be the same: no 31 February, no blank, nothing behind it.
  if (to_rfc3339(time) != text) return std::nullopt;
  return time;
}

}  // namespace cusp
