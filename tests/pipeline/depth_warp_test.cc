#include "pipeline/depth_warp.h"

#include <gtest/gtest.h>

#include <Eigen/Core>
#include <cmath>

namespace cusp {
namespace {

constexpr int kWidth = 96, kHeight = 64;

DepthWarp::Terms one_term(std::size_t k, double um) {
  DepthWarp::Terms terms{};
  terms[k] = um;
  return terms;
}

TEST(DepthWarp, HasTermsOfMeanSquareOneThatShareNothing) {
  Eigen::Matrix<double, DepthWarp::kTerms, DepthWarp::kTerms> products;
  products.setZero();
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x) {
      const DepthWarp::Terms terms = DepthWarp::terms_at(x, y, kWidth, kHeight);
      const Eigen::Map<const Eigen::Matrix<double, DepthWarp::kTerms, 1>> row(terms.data());
      products += row * row.transpose() / (kWidth * kHeight);
    }
  EXPECT_LT((products - decltype(products)::Identity()).cwiseAbs().maxCoeff(), 0.05);
}

TEST(DepthWarp, HoldsNoConstant) {
  for (std::size_t k = 0; k < DepthWarp::kTerms; ++k) {
    const DepthWarp warp(kWidth, kHeight, one_term(k, 1000));
    double constant = 0;
    for (int y = 0; y < kHeight; ++y)
      for (int x = 0; x < kWidth; ++x) constant += warp.at(x, y) / (kWidth * kHeight);
    EXPECT_NEAR(constant, 0, 0.02) << k;
  }
}

TEST(DepthWarp, CorrectsWhatWasMeasuredAndNothingElse) {
  DepthFrame frame{.intrinsics = {kWidth, kHeight, 90, 90, 47.5, 31.5},
                   .depth_mm = std::vector<float>(kWidth * kHeight, 15.0F)};
  frame.depth_mm[7] = 0;
  const DepthWarp warp(kWidth, kHeight, {1, -2, 5, -3, 2, 1, -1, 0.5, 0, 2, 0, 0, 0, 1});
  warp.apply(frame);
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x) {
      const std::size_t i = static_cast<std::size_t>(y * kWidth + x);
      EXPECT_FLOAT_EQ(frame.depth_mm[i], i == 7 ? 0 : 15 + static_cast<float>(warp.at(x, y)));
    }
}

TEST(DepthWarp, SaysHowFarItGoes) {
  const DepthWarp warp(kWidth, kHeight, one_term(2, 2));
  EXPECT_DOUBLE_EQ(warp.rms_um(), 2);
  EXPECT_NEAR(warp.max_um(), 2 * std::sqrt(5.0), 1e-9);  // at both ends of a row
}

TEST(DepthWarp, IsNothingUntilEstimated) {
  DepthFrame frame{.intrinsics = {4, 1, 4, 4, 1.5, 0}, .depth_mm = {1, 2, 3, 0}};
  DepthWarp().apply(frame);
  EXPECT_EQ(frame.depth_mm, (std::vector<float>{1, 2, 3, 0}));
  EXPECT_EQ(DepthWarp().rms_um(), 0);
  EXPECT_EQ(DepthWarp().max_um(), 0);
}

}  // namespace
}  // namespace cusp
