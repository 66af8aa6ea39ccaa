// Parcel: what is delivered when a ticket is finished: the statement of what was made, and its
// files.
//
// It carries patient_ref and never a name. Its bytes (protobuf, messages.proto) are made once,
// hashed, stored and sent as they are; nobody re-encodes them. Threads: values and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/scan_ticket.h"

namespace cusp::delivery {

// A file of the parcel, named by its hash.
struct BlobRef {
  std::string sha256;  // hex
  std::uint64_t size_bytes = 0;
  std::string media_type;  // "model/stl", "application/x-ply", "image/png"
  // "model", "original" (before it was smoothed, filled or decimated), "based" (on a base, closed),
  // "bite" (distance to the other jaw, pipeline/bite.h), "thumbnail"
  std::string role;
  std::string file_name;  // for people: "upper.stl"; never holds anything about the patient
};

// As a laboratory grades a model (pipeline/quality.h).
struct StageQuality {
  int grade = 1;                     // 1 ideal .. 4 rescan
  std::vector<std::string> reasons;  // sentences, worst first; none for grade 1
  double area_mm2 = 0;
  std::uint64_t holes = 0;
  double largest_hole_mm = 0;
  std::optional<double> drift_mm;  // what the poses may still be off by, where it is known
  // One standard deviation, exceeded by a twentieth of the vertices, where it is known
  // (pipeline/expected_error.h).
  std::optional<double> expected_error_mm;
};
inline constexpr std::size_t kMaxReasons = 6, kMaxReasonBytes = 120;

using RigidRows = std::array<double, 12>;  // three rows of a rigid motion's 3 x 4, mm

// Where a model lies in that of another stage (pipeline/place.h).
struct StagePlacement {
  ScanStage into = ScanStage::kUpper;
  RigidRows into_from_stage{};
  double residual_mm = 0;
};

struct StageStatement {
  ScanStage stage = ScanStage::kUpper;
  std::vector<BlobRef> blobs;
  std::uint64_t triangles = 0;
  std::uint64_t frames = 0;  // reached the reconstruction
  std::uint64_t frames_tracked = 0;
  std::uint64_t frames_lost = 0;     // tracking lost, not fused
  std::uint64_t frames_dropped = 0;  // queue was full
  std::uint64_t frames_broken = 0;   // damaged or lost on the cable
  double mean_residual_mm = 0;
  std::optional<StageQuality> quality{};  // absent: it was not graded
  // Absent: it lies in none of the others, or its place is not known.
  std::optional<StagePlacement> placement{};
  // Into the anatomical frame of a jaw (pipeline/orient.h); absent: it is no whole arch.
  std::optional<RigidRows> anatomical_from_stage{};
};

struct Parcel {
  // Set by the caller.
  std::string ticket_id;
  unsigned revision = 1;
  TicketKind kind = TicketKind::kIntraoral;
  std::string case_type, visit_type, doctor, patient_ref, case_ref, note;
  std::vector<int> teeth_fdi;
  std::vector<StageStatement> stages;
  std::string device_maker, device_model, device_serial, device_firmware;
  std::string calibration_id;
  std::string config_sha256;
  std::string software_version;
  std::string started_at, finished_at;  // RFC 3339, UTC

  // Set by the outbox when it commits; they are the store's dedupe key.
  std::string station_id;
  std::string outbox_epoch;  // UUID, made with the outbox
  std::uint64_t outbox_seq = 0;

  [[nodiscard]] std::vector<BlobRef> all_blobs() const;
};

inline constexpr std::size_t kMaxEnvelopeBytes = 64 * 1024;

std::vector<std::uint8_t> encode(const Parcel& parcel);
// Checks every limit (64 KiB, 64 blobs, hashes, UTF-8, finite numbers, stage names): kProtocol says
// which one.
Result<Parcel> decode_parcel(std::span<const std::uint8_t> bytes);

// What the store answers after its commit.
struct Receipt {
  std::string ticket_id;
  unsigned revision = 0;
  std::uint64_t store_seq = 0;  // place in the store's feed
  std::string envelope_sha256;  // of the parcel's bytes
  std::string committed_at;     // RFC 3339, the store's clock
  std::string record_url;       // page that shows the record, if the store has a web address
};

}  // namespace cusp::delivery
