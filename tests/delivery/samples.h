// Tickets, parcels and files for the tests of delivery.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "core/uuid.h"
#include "delivery/digest.h"
#include "delivery/outbox.h"
#include "delivery/parcel.h"

namespace cusp::delivery {

inline std::vector<std::uint8_t> random_bytes(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

inline OutboxFile make_file(std::vector<std::uint8_t> bytes, const std::string& name) {
  BlobRef blob{sha256_hex(bytes), bytes.size(), "model/stl", "model", name};
  return {std::move(blob), std::move(bytes)};
}

inline ScanTicket make_ticket() {
  ScanTicket ticket;
  ticket.id = new_uuid();
  ticket.case_type = "crown";
  ticket.visit_type = "first visit";
  ticket.doctor = "Dr. Wójcik";
  ticket.patient_ref = "p-7f3a";
  ticket.teeth_fdi = {36, 37};
  ticket.note = "prepared margin\nsubgingival";
  ticket.stages = {ScanStage::kUpper, ScanStage::kLower};
  ticket.patient = {"Åsa Lindqvist", "1984-05-17"};
  return ticket;
}

struct Finished {
  Parcel parcel;
  std::vector<OutboxFile> files;
};

// A finished ticket with a file a stage.
inline Finished make_finished(const std::vector<std::size_t>& sizes, unsigned seed = 1,
                              const std::string& ticket_id = new_uuid(), unsigned revision = 1) {
  Finished finished;
  Parcel& parcel = finished.parcel;
  parcel.ticket_id = ticket_id;
  parcel.revision = revision;
  parcel.case_type = "crown";
  parcel.doctor = "Dr. Wójcik";
  parcel.patient_ref = "p-7f3a";
  parcel.teeth_fdi = {36};
  parcel.device_maker = "Cusp";
  parcel.device_model = "virtual";
  parcel.device_serial = "wand-0012";
  parcel.calibration_id = "d400-coefficients-1a2b3c4d";
  parcel.software_version = "0.1.0";
  parcel.started_at = "2026-01-31T09:00:00.000Z";
  parcel.finished_at = "2026-01-31T09:15:00.250Z";
  const ScanStage stages[] = {ScanStage::kUpper, ScanStage::kLower, ScanStage::kBiteLeft};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    finished.files.push_back(
        make_file(random_bytes(sizes[i], seed * 100 + static_cast<unsigned>(i)),
                  std::string(to_string(stages[i])) + ".stl"));
    StageStatement statement;
    statement.stage = stages[i];
    statement.blobs = {finished.files.back().blob};
    statement.triangles = 120000;
    statement.frames = 900;
    statement.frames_tracked = 880;
    statement.frames_lost = 20;
    statement.mean_residual_mm = 0.031;
    statement.quality = {.grade = 2,
                         .reasons = {"12000 triangles, at least 100000 are wanted"},
                         .area_mm2 = 1520.5,
                         .holes = 3,
                         .largest_hole_mm = 0.25,
                         .drift_mm = 0.0125,
                         .expected_error_mm = 0.0075};
    if (i == 0) statement.anatomical_from_stage = {0, 1, 0, 4, -1, 0, 0, 0.5, 0, 0, 1, -60};
    if (i == 1)
      statement.placement = {.into = stages[0],
                             .into_from_stage = {0, -1, 0, 10.5, 1, 0, 0, -4, 0, 0, 1, 0.25},
                             .residual_mm = 0.02};
    parcel.stages.push_back(statement);
  }
  return finished;
}

}  // namespace cusp::delivery
