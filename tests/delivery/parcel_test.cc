#include "delivery/parcel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "tests/delivery/samples.h"

namespace cusp::delivery {
namespace {

Parcel sample() {
  Parcel parcel = make_finished({1000, 2000}).parcel;
  parcel.station_id = "room-1";
  parcel.outbox_epoch = new_uuid();
  parcel.outbox_seq = 7;
  parcel.note = "two lines\nof UTF-8: żółć";
  return parcel;
}

TEST(Parcel, comes_back_as_it_was_encoded) {
  const Parcel parcel = sample();
  const auto bytes = encode(parcel);
  const auto decoded = decode_parcel(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(encode(*decoded), bytes);
  EXPECT_EQ(decoded->ticket_id, parcel.ticket_id);
  EXPECT_EQ(decoded->note, parcel.note);
  EXPECT_EQ(decoded->outbox_seq, 7U);
  ASSERT_EQ(decoded->stages.size(), 2U);
  EXPECT_EQ(decoded->stages[1].stage, ScanStage::kLower);
  EXPECT_EQ(decoded->stages[1].blobs[0].sha256, parcel.stages[1].blobs[0].sha256);
  EXPECT_EQ(decoded->stages[0].frames_lost, 20U);
  EXPECT_EQ(decoded->stages[0].mean_residual_mm, 0.031);
  EXPECT_EQ(decoded->all_blobs().size(), 2U);
  ASSERT_TRUE(decoded->stages[1].quality.has_value());
  EXPECT_EQ(decoded->stages[1].quality->grade, 2);
  EXPECT_EQ(decoded->stages[1].quality->reasons, parcel.stages[1].quality->reasons);
  EXPECT_EQ(decoded->stages[1].quality->holes, 3U);
  EXPECT_EQ(decoded->stages[1].quality->drift_mm, 0.0125);
  EXPECT_EQ(decoded->stages[1].quality->expected_error_mm, 0.0075);
  EXPECT_FALSE(decoded->stages[0].placement.has_value());
  ASSERT_TRUE(decoded->stages[1].placement.has_value());
  EXPECT_EQ(decoded->stages[1].placement->into, ScanStage::kUpper);
  EXPECT_EQ(decoded->stages[1].placement->into_from_stage,
            parcel.stages[1].placement->into_from_stage);
  EXPECT_EQ(decoded->stages[1].placement->residual_mm, 0.02);
  EXPECT_EQ(decoded->stages[0].anatomical_from_stage, parcel.stages[0].anatomical_from_stage);
  EXPECT_FALSE(decoded->stages[1].anatomical_from_stage.has_value());
}

TEST(Parcel, says_which_limit_is_broken) {
  const std::function<void(Parcel&)> faults[] = {
      [](Parcel& p) { p.ticket_id = "not-a-uuid"; },
      [](Parcel& p) { p.revision = 0; },
      [](Parcel& p) { p.station_id.clear(); },
      [](Parcel& p) { p.outbox_epoch = "yesterday"; },
      [](Parcel& p) { p.note = std::string(kMaxTextBytes + 1, 'x'); },
      [](Parcel& p) { p.doctor = "bell\a"; },
      [](Parcel& p) { p.case_type = "\xff\xfe"; },
      [](Parcel& p) { p.teeth_fdi = {19}; },
      [](Parcel& p) { p.teeth_fdi = std::vector<int>(53, 11); },
      [](Parcel& p) { p.stages.clear(); },
      [](Parcel& p) { p.stages.push_back(p.stages[0]); },
      [](Parcel& p) { p.stages[0].stage = ScanStage::kFaceSmile; },
      [](Parcel& p) { p.stages[0].mean_residual_mm = std::nan(""); },
      [](Parcel& p) { p.stages[0].mean_residual_mm = std::numeric_limits<double>::infinity(); },
      [](Parcel& p) { p.stages[0].quality->grade = 0; },
      [](Parcel& p) { p.stages[0].quality->grade = 5; },
      [](Parcel& p) { p.stages[0].quality->reasons.assign(kMaxReasons + 1, "why"); },
      [](Parcel& p) { p.stages[0].quality->reasons = {std::string(kMaxReasonBytes + 1, 'x')}; },
      [](Parcel& p) { p.stages[0].quality->reasons = {"two\nlines"}; },
      [](Parcel& p) { p.stages[0].quality->area_mm2 = -1; },
      [](Parcel& p) { p.stages[0].quality->drift_mm = std::nan(""); },
      [](Parcel& p) { p.stages[0].quality->expected_error_mm = -1; },
      [](Parcel& p) { p.stages[1].placement->into = ScanStage::kBiteRight; },
      [](Parcel& p) { p.stages[1].placement->into = ScanStage::kLower; },
      [](Parcel& p) {
        p.stages[0].placement = p.stages[1].placement;
        p.stages[0].placement->into = ScanStage::kLower;
      },
      [](Parcel& p) { p.stages[1].placement->into_from_stage[0] = 1; },
      [](Parcel& p) { p.stages[1].placement->into_from_stage[10] = -1; },
      [](Parcel& p) { p.stages[1].placement->into_from_stage[3] = std::nan(""); },
      [](Parcel& p) { p.stages[1].placement->residual_mm = -1; },
      [](Parcel& p) { p.stages[0].anatomical_from_stage.emplace().fill(0.5); },
      [](Parcel& p) { p.stages[0].blobs[0].sha256 = "../../etc/passwd"; },
      [](Parcel& p) { p.stages[0].blobs[0].size_bytes = 0; },
      [](Parcel& p) { p.stages[0].blobs[0].file_name = "../upper.stl"; },
      [](Parcel& p) { p.stages[0].blobs[0].file_name.clear(); },
      [](Parcel& p) { p.stages[0].blobs = std::vector(65, p.stages[0].blobs[0]); },
      [](Parcel& p) { p.stages[1].blobs[0].sha256 = p.stages[0].blobs[0].sha256; },
      [](Parcel& p) { p.device_serial = std::string(257, 'x'); }};
  int number = 0;
  for (const auto& fault : faults) {
    Parcel parcel = sample();
    fault(parcel);
    const auto decoded = decode_parcel(encode(parcel));
    ASSERT_FALSE(decoded.ok()) << "fault " << number;
    EXPECT_EQ(decoded.error().code, ErrorCode::kProtocol) << "fault " << number;
    ++number;
  }
}

TEST(Parcel, largest_legal_one_fits_into_an_envelope) {
  Parcel parcel = sample();
  for (std::string* text : {&parcel.case_type, &parcel.visit_type, &parcel.doctor,
                            &parcel.patient_ref, &parcel.case_ref, &parcel.note})
    *text = std::string(kMaxTextBytes, 'x');
  BlobRef blob{std::string(64, 'a'), 1, std::string(128, 'm'), std::string(128, 'r'),
               std::string(128, 'f')};
  parcel.stages[0].blobs = std::vector(63, blob);
  StageStatement more = parcel.stages[1];
  more.blobs.clear();
  more.placement->into = ScanStage::kLower;
  for (const auto stage :
       {ScanStage::kBiteLeft, ScanStage::kBiteRight, ScanStage::kPreopUpper, ScanStage::kPreopLower,
        ScanStage::kScanBodyUpper, ScanStage::kScanBodyLower}) {
    more.stage = stage;
    parcel.stages.push_back(more);
  }
  for (StageStatement& stage : parcel.stages)
    stage.quality->reasons.assign(kMaxReasons, std::string(kMaxReasonBytes, 'x'));
  const auto bytes = encode(parcel);
  EXPECT_LE(bytes.size(), kMaxEnvelopeBytes);
  const auto decoded = decode_parcel(bytes);
  EXPECT_TRUE(decoded.ok()) << decoded.error().message;
}

TEST(Parcel, every_truncation_is_refused_or_legal_but_never_harmful) {
  const auto bytes = encode(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto decoded = decode_parcel(std::span(bytes).first(size));
    // protobuf can't tell a cut between two fields; the rules of a parcel still hold.
    if (decoded.ok()) {
      EXPECT_TRUE(decode_parcel(encode(*decoded)).ok()) << size;
    }
  }
  EXPECT_FALSE(decode_parcel({}).ok());
}

TEST(Parcel, no_flipped_bit_gets_past_the_rules) {
  const auto bytes = encode(sample());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      auto damaged = bytes;
      damaged[i] ^= static_cast<std::uint8_t>(1 << bit);
      const auto decoded = decode_parcel(damaged);
      if (!decoded.ok()) continue;
      ASSERT_TRUE(decode_parcel(encode(*decoded)).ok()) << i << ":" << bit;
      for (const BlobRef& blob : decoded->all_blobs()) ASSERT_TRUE(is_sha256_hex(blob.sha256));
    }
}

TEST(Parcel, survives_noise) {
  std::mt19937 random(5);
  for (unsigned round = 0; round < 2000; ++round) {
    auto noise = random_bytes(random() % 300, round);
    static_cast<void>(decode_parcel(noise));
  }
  EXPECT_FALSE(decode_parcel(std::vector<std::uint8_t>(kMaxEnvelopeBytes + 1)).ok());
}

}  // namespace
}  // namespace cusp::delivery
