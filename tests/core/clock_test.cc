#include "core/clock.h"

#include <gtest/gtest.h>

namespace cusp {
namespace {

TEST(Clock, writes_utc_with_milliseconds) {
  using namespace std::chrono;
  EXPECT_EQ(to_rfc3339(WallTime{}), "1970-01-01T00:00:00.000Z");
  const WallTime leap_day = sys_days{year{2024} / 2 / 29} + 23h + 59min + 58s + 7ms;
  EXPECT_EQ(to_rfc3339(leap_day), "2024-02-29T23:59:58.007Z");
}

TEST(Clock, a_manual_clock_moves_only_when_told) {
  ManualClock clock;
  const MonoTime before = clock.mono();
  EXPECT_EQ(clock.mono(), before);
  clock.advance(std::chrono::seconds(3));
  EXPECT_EQ(clock.mono() - before, std::chrono::seconds(3));
  EXPECT_EQ(to_rfc3339(clock.wall()), "1970-01-01T00:00:03.000Z");
}

}  // namespace
}  // namespace cusp
