// A records store in a folder of its own, with a clock that stands still, and parcels to give it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/uuid.h"
#include "delivery/digest.h"
#include "records/records_store.h"

namespace cusp::records {

class StoreFixture : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("cusp-records-" + std::to_string(::getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    open();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Again, as after a restart.
  void open() {
    store_.reset();
    auto opened = RecordsStore::open(folder_ / "records.db", clock_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    store_ = *std::move(opened);
    store_->set_listener([this](const StoreChange& change) { changes_.push_back(change); });
  }

  Patient add_patient(const std::string& name = "Åsa Ödegård") {
    Patient patient;
    patient.name = name;
    patient.date_of_birth = "1990-12-10";
    auto added = store_->add_patient(patient);
    EXPECT_TRUE(added.ok()) << added.error().message;
    return *added;
  }

  static ScanTicket order() {
    ScanTicket order;
    order.case_type = "aligner";
    order.doctor = "Dr. Quick";
    order.teeth_fdi = {11, 21};
    return order;
  }

  Ticket add_ticket(const Patient& patient) {
    auto added = store_->add_ticket(patient.id, order());
    EXPECT_TRUE(added.ok()) << added.error().message;
    return *added;
  }

  // What a station delivers for the ticket.
  delivery::Parcel parcel_of(const ScanTicket& ticket, std::uint64_t outbox_seq = 1) const {
    delivery::Parcel parcel;
    parcel.ticket_id = ticket.id;
    parcel.kind = ticket.kind;
    parcel.case_type = ticket.case_type;
    parcel.doctor = ticket.doctor;
    parcel.patient_ref = ticket.patient_ref;
    parcel.teeth_fdi = ticket.teeth_fdi;
    const auto file = [](const std::string& name, const std::string& type,
                         const std::string& role) {
      return delivery::BlobRef{delivery::sha256_hex(std::string_view(name)), 4, type, role, name};
    };
    parcel.stages.push_back(
        {ScanStage::kUpper,
         {file("upper.stl", "model/stl", "model"), file("upper.png", "image/png", "thumbnail")},
         120'000,
         300,
         290,
         6,
         3,
         1,
         0.021,
         delivery::StageQuality{.grade = 2,
                                .reasons = {"the drift is about 30 um", "separate parts: 2"},
                                .area_mm2 = 1480,
                                .holes = 1,
                                .largest_hole_mm = 0.75,
                                .drift_mm = 0.03,
                                .expected_error_mm = 0.012}});
    parcel.stages.push_back(
        {ScanStage::kLower,
         {file("lower.stl", "model/stl", "model")},
         90'000,
         280,
         280,
         0,
         0,
         0,
         0.018,
         {},
         delivery::StagePlacement{.into = ScanStage::kUpper,
                                  .into_from_stage = {1, 0, 0, 2.5, 0, 0, -1, 0, 0, 1, 0, -7},
                                  .residual_mm = 0.04}});
    parcel.stages[0].anatomical_from_stage = {0, 1, 0, 4, -1, 0, 0, 0.5, 0, 0, 1, -60};
    parcel.device_maker = "Intel";
    parcel.device_model = "RealSense D405";
    parcel.device_serial = "wand-0012";
    parcel.finished_at = "2026-01-31T09:00:00.000Z";
    parcel.station_id = "station-1";
    parcel.outbox_epoch = outbox_epoch_;
    parcel.outbox_seq = outbox_seq;
    return parcel;
  }

  Result<delivery::Receipt> commit(const delivery::Parcel& parcel) {
    const auto envelope = delivery::encode(parcel);
    return store_->commit(parcel, envelope, delivery::sha256_hex(envelope));
  }

  std::vector<Record> records() {
    auto page = store_->list_records({});
    EXPECT_TRUE(page.ok());
    return page->items;
  }

  std::filesystem::path folder_;
  // 2026-01-31T09:15:00Z
  ManualClock clock_{WallTime{std::chrono::seconds{1769850900}}};
  std::string outbox_epoch_ = new_uuid();
  std::unique_ptr<RecordsStore> store_;
  std::vector<StoreChange> changes_;
};

}  // namespace cusp::records
