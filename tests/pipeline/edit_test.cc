// Editing a scan: undo, cut, lock, and going on from its log.
#include "pipeline/edit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "pipeline/packed_frame.h"
#include "pipeline/refine.h"
#include "tests/pipeline/scene.h"

namespace cusp {
namespace {

using namespace testing;
using std::chrono::milliseconds;

const BumpyDisc& disc() {
  static const BumpyDisc disc;
  return disc;
}

RawFrame frame(int k) {
  RawFrame frame = render(disc(), hand(k), static_cast<std::uint64_t>(k));
  frame.host_time = MonoTime(milliseconds(33 * k));
  return frame;
}
const std::vector<RawFrame>& frames() {
  static const std::vector<RawFrame> frames = [] {
    std::vector<RawFrame> made;
    for (int k = 0; k < 40; ++k) made.push_back(frame(k));
    return made;
  }();
  return frames;
}

void scan(Reconstruction& scanner, int from, int to, ScanLog* journal = nullptr) {
  for (int k = from; k < to; ++k) {
    const auto outcome = scanner.add(frames()[static_cast<std::size_t>(k)]);
    ASSERT_TRUE(outcome.ok());
    if (journal != nullptr) {
      for (const ScanRecord& record : outcome->records) ASSERT_TRUE(journal->apply(record));
    }
  }
}

double median_error_mm(const Mesh& mesh) {
  std::vector<double> errors;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
    errors.push_back(std::abs(disc().distance_mm(hand(0) * vertex.cast<double>())));
  std::ranges::nth_element(errors, errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2));
  return errors[errors.size() / 2];
}

// A ball in the middle of what the first frame sees.
Brush ball(const Mesh& mesh, float radius_mm) {
  Eigen::Vector3f middle = Eigen::Vector3f::Zero();
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm) middle += vertex;
  middle /= static_cast<float>(mesh.vertices_mm.size());
  Eigen::Vector3f nearest = mesh.vertices_mm.front();
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
    if ((vertex - middle).squaredNorm() < (nearest - middle).squaredNorm()) nearest = vertex;
  return {.path_mm = {nearest}, .radius_mm = radius_mm};
}
std::vector<Eigen::Vector3f> inside(const Mesh& mesh, const Brush& ball, float scale) {
  std::vector<Eigen::Vector3f> found;
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
    if ((vertex - ball.path_mm[0]).norm() < scale * ball.radius_mm) found.push_back(vertex);
  return found;
}

TEST(Edit, UndoTakesTheLastFramesBackAndTheScanGoesOn) {
  Reconstruction scanner(small_options(), small_camera());
  scan(scanner, 0, 20);
  const std::size_t before = scanner.log().frames();
  const std::uint64_t triangles = scanner.triangle_estimate();
  scan(scanner, 20, 40);
  EXPECT_GT(scanner.log().frames(), before);
  const auto undone = scanner.undo(milliseconds(33 * 20 - 1));
  ASSERT_TRUE(undone.ok()) << undone.error().message;
  EXPECT_LE(scanner.log().frames(), before);
  EXPECT_EQ(std::get<Rewind>(*undone).entries, scanner.log().entries().size());
  EXPECT_NEAR(static_cast<double>(scanner.triangle_estimate()), static_cast<double>(triangles),
              0.1 * static_cast<double>(triangles));
  EXPECT_LT(median_error_mm(scanner.mesh()), 0.05);
  // The sensor is where the undone frames ended: found again, then followed.
  scan(scanner, 20, 40);
  EXPECT_EQ(scanner.counts().lost, 0U);
  EXPECT_LT(median_error_mm(scanner.mesh()), 0.05);
}

TEST(Edit, UndoOfEverythingBeginsAnew) {
  Reconstruction scanner(small_options(), small_camera());
  scan(scanner, 0, 10);
  ASSERT_TRUE(scanner.undo(std::chrono::seconds(100)).ok());
  EXPECT_EQ(scanner.triangle_estimate(), 0U);
  EXPECT_TRUE(scanner.mesh().empty());
  EXPECT_EQ(scanner.log().entries().size(), 0U);
  const auto outcome = scanner.add(frames()[12]);
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->fused);
  EXPECT_TRUE(outcome->pose.model_from_sensor.isApprox(RigidTransform::Identity()));
}

TEST(Edit, ACutGoesAndIsFilledWhenItIsScannedAgain) {
  Reconstruction scanner(small_options(), small_camera());
  scan(scanner, 0, 20);
  const Brush brush = ball(scanner.mesh(), 5);
  ASSERT_FALSE(inside(scanner.mesh(), brush, 0.9F).empty());
  ASSERT_TRUE(scanner.edit(Cut{brush}).ok());
  EXPECT_TRUE(inside(scanner.mesh(), brush, 0.9F).empty());
  // It is cut in what the log makes, too.
  const auto refined = refine(scanner.log(), small_options(), small_camera());
  ASSERT_TRUE(refined.ok()) << refined.error().message;
  EXPECT_TRUE(inside(refined->mesh, brush, 0.8F).empty());
  EXPECT_FALSE(refined->mesh.empty());
  scan(scanner, 20, 40);
  EXPECT_FALSE(inside(scanner.mesh(), brush, 0.9F).empty());
}

TEST(Edit, WhatIsLockedStaysAsItIs) {
  Reconstruction scanner(small_options(), small_camera());
  scan(scanner, 0, 20);
  const Brush brush = ball(scanner.mesh(), 6);
  ASSERT_TRUE(scanner.edit(Lock{brush}).ok());
  const auto before = inside(scanner.mesh(), brush, 0.5F);
  ASSERT_FALSE(before.empty());
  scan(scanner, 20, 30);
  ASSERT_TRUE(scanner.edit(Cut{brush}).ok());
  const auto after = inside(scanner.mesh(), brush, 0.5F);
  EXPECT_EQ(after, before);
  ASSERT_TRUE(scanner.edit(UnlockAll{}).ok());
  ASSERT_TRUE(scanner.edit(Cut{brush}).ok());
  EXPECT_TRUE(inside(scanner.mesh(), brush, 0.5F).empty());
  // With locks in it the whole log is made again.
  ASSERT_TRUE(scanner.undo(milliseconds(33)).ok());
  EXPECT_FALSE(scanner.mesh().empty());
}

TEST(Edit, RefusesARegionThatCannotBeMeant) {
  Reconstruction scanner(small_options(), small_camera());
  scan(scanner, 0, 3);
  const auto refused = scanner.edit(Cut{Brush{.path_mm = {}, .radius_mm = 1}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(scanner.log().entries().size(), scanner.log().frames());
}

TEST(Edit, AScanGoesOnFromItsLog) {
  ScanLog journal;
  {
    Reconstruction scanner(small_options(), small_camera());
    scan(scanner, 0, 20, &journal);
  }
  auto again = Reconstruction::go_on(small_options(), small_camera(), journal);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_LT(median_error_mm(again->mesh()), 0.05);
  const auto found = again->add(frames()[20]);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->pose.verdict, PoseVerdict::kRelocalised);
  scan(*again, 21, 40);
  EXPECT_EQ(again->counts().lost, 0U);
  EXPECT_LT(median_error_mm(again->mesh()), 0.05);
  EXPECT_GT(again->log().frames(), journal.frames());
}

TEST(Edit, ALogOfDamagedFramesIsRefused) {
  ScanLog log;
  log.apply(ScanEntry(KeptFrame{.packed = std::make_shared<const std::vector<std::uint8_t>>(
                                    std::size_t{50}, std::uint8_t{7})}));
  const auto again = Reconstruction::go_on(small_options(), small_camera(), log);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kCorrupt);
}

TEST(Refine, GivesTheSameBitsWithAnyNumberOfThreadsAndCanBeCancelled) {
  Reconstruction scanner(small_options(), small_camera());
  scan(scanner, 0, 20);
  ReconstructionOptions options = small_options();
  options.threads = 1;
  const auto one = refine(scanner.log(), options, small_camera());
  options.threads = 3;
  const auto three = refine(scanner.log(), options, small_camera());
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one->mesh.triangles, three->mesh.triangles);
  EXPECT_EQ(one->mesh.vertices_mm, three->mesh.vertices_mm);
  EXPECT_LT(median_error_mm(one->mesh), 0.05);
  std::stop_source stop;
  stop.request_stop();
  const auto cancelled =
      refine(scanner.log(), small_options(), small_camera(), {.stop = stop.get_token()});
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  const auto nothing = refine(ScanLog(), small_options(), small_camera());
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().message, "model: nothing was scanned, it has no surface");
}

}  // namespace
}  // namespace cusp
