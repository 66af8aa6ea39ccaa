// The benchmark's arithmetic: what a figure is made of, and whether it reached its bar.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tools/bench/figures.h"
#include "tools/bench/live.h"
#include "tools/bench/statistics.h"

namespace cusp::bench {
namespace {

using testing::ElementsAre;

TEST(Statistics, QuantileLiesBetweenNeighboursInProportion) {
  const std::vector<double> values = {30, 10, 20, 40};
  EXPECT_DOUBLE_EQ(quantile(values, 0), 10);
  EXPECT_DOUBLE_EQ(quantile(values, 1), 40);
  EXPECT_DOUBLE_EQ(quantile(values, 0.25), 17.5);
  EXPECT_DOUBLE_EQ(median(values), 25);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.99), 7);
}

TEST(Statistics, StandardDeviationIsThatOfASample) {
  EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(standard_deviation({1, 3}), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(standard_deviation({5}), 0);
}

TEST(Statistics, LastEighthOverFirstSeesGrowthAndIgnoresSpikes) {
  std::vector<double> flat(80, 4.0);
  flat[2] = 900;
  EXPECT_DOUBLE_EQ(last_over_first_eighth(flat), 1);
  std::vector<double> growing;
  for (int i = 0; i < 80; ++i) growing.push_back(i < 40 ? 2 : 3);
  EXPECT_DOUBLE_EQ(last_over_first_eighth(growing), 1.5);
}

TEST(ToAndFro, TurnsAtBothEndsWithoutRepeatingThem) {
  EXPECT_THAT(to_and_fro(3, 7), ElementsAre(0, 1, 2, 1, 0, 1, 2));
  EXPECT_THAT(to_and_fro(1, 3), ElementsAre(0, 0, 0));
}

TEST(Figures, BarsWorkBothWays) {
  const Figure time{"time", 15, "ms", Bar{20, 12}};
  EXPECT_TRUE(time.met());
  EXPECT_FALSE(time.beyond());
  const Figure speed{"speed", 50, "frames/s", Bar{60, 100, Better::kMore}};
  EXPECT_FALSE(speed.met());
  const Figure fast{"speed", 100, "frames/s", Bar{60, 100, Better::kMore}};
  EXPECT_TRUE(fast.beyond());
  EXPECT_TRUE((Figure{"plain", 3, "", std::nullopt}.met()));
}
TEST(Figures, NotANumberMeetsNoBar) {
  const Figure figure{"x", std::nan(""), "um", Bar{5, 3}};
  EXPECT_FALSE(figure.met());
  EXPECT_FALSE(figure.beyond());
}
TEST(Figures, TableHoldsThoseWithABar) {
  Figures figures;
  figures.add({"with", 1, "ms", Bar{2, 1}});
  figures.add({"without", 1, "ms", std::nullopt});
  EXPECT_THAT(figures.table(), testing::HasSubstr("with "));
  EXPECT_THAT(figures.table(), testing::Not(testing::HasSubstr("without")));
}
TEST(Figures, JsonNamesEachWithItsBar) {
  Figures figures;
  figures.add({"speed", 50, "frames/s", Bar{60, 100, Better::kMore}});
  figures.add({"frames", 1320, "", std::nullopt});
  const auto document = nlohmann::json::parse(figures.json());
  EXPECT_GE(document.at("machine").at("processors").get<int>(), 0);
  const auto& rows = document.at("figures");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].at("name"), "speed");
  EXPECT_EQ(rows[0].at("unit"), "frames/s");
  EXPECT_EQ(rows[0].at("value"), 50);
  EXPECT_EQ(rows[0].at("bar"), 60);
  EXPECT_EQ(rows[0].at("beyond"), 100);
  EXPECT_EQ(rows[0].at("met"), false);
  EXPECT_TRUE(rows[1].at("bar").is_null());
  EXPECT_FALSE(rows[1].contains("met"));
}

}  // namespace
}  // namespace cusp::bench
