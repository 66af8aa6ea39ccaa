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

TEST(Clock, ReadsTheTimesThatItWrites) {
  for (const char* text :
       {"2026-01-31T09:15:00.250Z", "1970-01-01T00:00:00.000Z", "2028-02-29T23:59:59.999Z"}) {
    const auto time = from_rfc3339(text);
    ASSERT_TRUE(time.has_value()) << text;
    EXPECT_EQ(to_rfc3339(*time), text);
  }
  for (const char* text :
       {"", "yesterday", "2026-02-31T09:15:00.250Z", "2026-01-31T09:15:00Z",
        "2026-01-31T24:15:00.250Z", " 2026-01-31T09:15:00.250Z", "2026-01-31T09:15:00.250Zz"})
    EXPECT_FALSE(from_rfc3339(text).has_value()) << text;
}

}  // namespace
}  // namespace cusp
