#include "core/scan_ticket.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/text.h"
#include "core/uuid.h"

namespace cusp {
namespace {

using S = TicketState;
using E = TicketEvent;

// The whole life, written a second time from the other side: by state, what each event leads to.
const std::map<S, std::map<E, S>>& expected_life() {
  static const std::map<S, std::map<E, S>> life{
      {S::kCreated, {{E::kClaim, S::kClaimed}, {E::kCancel, S::kCancelled}}},
      {S::kClaimed,
       {{E::kRelease, S::kCreated}, {E::kStart, S::kScanning}, {E::kCancel, S::kCancelled}}},
      {S::kScanning,
       {{E::kStart, S::kScanning},
        {E::kPause, S::kPaused},
        {E::kInterrupt, S::kInterrupted},
        {E::kFinish, S::kProcessing},
        {E::kRedo, S::kScanning},
        {E::kCancel, S::kCancelled}}},
      {S::kPaused,
       {{E::kStart, S::kScanning},
        {E::kResume, S::kScanning},
        {E::kInterrupt, S::kInterrupted},
        {E::kFinish, S::kProcessing},
        {E::kRedo, S::kScanning},
        {E::kCancel, S::kCancelled}}},
      {S::kInterrupted,
       {{E::kStart, S::kScanning},
        {E::kResume, S::kScanning},
        {E::kFinish, S::kProcessing},
        {E::kRedo, S::kScanning},
        {E::kCancel, S::kCancelled}}},
      {S::kProcessing,
       {{E::kInterrupt, S::kInterrupted},
        {E::kProcessFailed, S::kProcessingFailed},
        {E::kSaved, S::kReady},
        {E::kCancel, S::kCancelled}}},
      {S::kProcessingFailed,
       {{E::kStart, S::kScanning},
        {E::kRetry, S::kProcessing},
        {E::kRedo, S::kScanning},
        {E::kCancel, S::kCancelled}}},
      {S::kReady,
       {{E::kSend, S::kSending}, {E::kReceipt, S::kDelivered}, {E::kRedo, S::kScanning}}},
      {S::kSending,
       {{E::kSendFailed, S::kReady}, {E::kReceipt, S::kDelivered}, {E::kRedo, S::kScanning}}},
      {S::kDelivered, {{E::kRedo, S::kScanning}}},
      {S::kCancelled, {}},
  };
  return life;
}

TEST(TicketLife, every_state_answers_every_event_as_drawn) {
  int legal = 0;
  for (int s = 0; s < kTicketStateCount; ++s)
    for (int e = 0; e < kTicketEventCount; ++e) {
      const auto state = static_cast<S>(s);
      const auto event = static_cast<E>(e);
      const auto& row = expected_life().at(state);
      const Result<TicketState> next = next_state(state, event);
      SCOPED_TRACE(std::string(to_string(state)) + " + " + std::string(to_string(event)));
      if (const auto wanted = row.find(event); wanted != row.end()) {
        ASSERT_TRUE(next.ok());
        EXPECT_EQ(*next, wanted->second);
        ++legal;
      } else {
        ASSERT_FALSE(next.ok());
        EXPECT_EQ(next.error().code, ErrorCode::kConflict);
        EXPECT_NE(next.error().message.find(to_string(state)), std::string::npos);
        EXPECT_NE(next.error().message.find(to_string(event)), std::string::npos);
      }
    }
  EXPECT_EQ(legal, 37);
}

TEST(TicketLife, a_refusal_says_what_is_possible) {
  EXPECT_EQ(next_state(S::kCreated, E::kPause).error().message,
            "a created ticket can't take \"pause\": possible now: claim, cancel");
  EXPECT_EQ(next_state(S::kCancelled, E::kClaim).error().message,
            "a cancelled ticket is at its end: \"claim\" is not possible");
}

TEST(TicketLife, can_be_cancelled_in_every_state_before_ready_and_in_none_after) {
  for (int s = 0; s < kTicketStateCount; ++s) {
    const auto state = static_cast<S>(s);
    const bool before_ready = state < S::kReady;
    EXPECT_EQ(next_state(state, E::kCancel).ok(), before_ready) << to_string(state);
  }
}

TEST(TicketLife, names_go_there_and_back) {
  std::set<std::string_view> names;
  for (int s = 0; s < kTicketStateCount; ++s) {
    const auto state = static_cast<S>(s);
    EXPECT_EQ(ticket_state_from(to_string(state)), state);
    names.insert(to_string(state));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kTicketStateCount));
  EXPECT_EQ(ticket_state_from("nonsense"), std::nullopt);
}

ScanTicket good_ticket() {
  ScanTicket ticket;
  ticket.id = new_uuid();
  ticket.case_type = "crown";
  ticket.doctor = "Dr. Ångström";
  ticket.teeth_fdi = {11, 48, 55, 85};
  ticket.stages = default_stages(ticket.kind);
  return ticket;
}

TEST(ScanTicket, a_good_one_passes) {
  EXPECT_TRUE(validate(good_ticket()).ok());
  ScanTicket face = good_ticket();
  face.kind = TicketKind::kFace;
  face.stages = default_stages(face.kind);
  EXPECT_TRUE(validate(face).ok());
}

TEST(ScanTicket, each_fault_is_named) {
  const auto refused = [](auto&& spoil) {
    ScanTicket ticket = good_ticket();
    spoil(ticket);
    const Result<void> result = validate(ticket);
    EXPECT_FALSE(result.ok());
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_NE(refused([](auto& t) { t.id = "../etc"; }).find("not a UUID"), std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.id = "\xff\xfe"; }).find("not a UUID"), std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.revision = 0; }).find("revision"), std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.doctor = "\xc3("; }).find("doctor is not valid UTF-8"),
            std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.note = std::string(kMaxTextBytes + 1, 'x'); }).find("note is"),
            std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.case_type = "a\x01"; }).find("control character"),
            std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.teeth_fdi = {19}; }).find("19 is not an FDI"),
            std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.teeth_fdi = {56}; }).find("56 is not an FDI"),
            std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.teeth_fdi = {-11}; }).find("not an FDI"), std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.stages.clear(); }).find("no stage"), std::string::npos);
  EXPECT_NE(refused([](auto& t) { t.stages = {ScanStage::kFaceSmile}; }).find("face-smile"),
            std::string::npos);
  EXPECT_NE(refused([](auto& t) {
              t.stages = {ScanStage::kUpper, ScanStage::kLower, ScanStage::kUpper};
            }).find("upper is named twice"),
            std::string::npos);
}

TEST(ScanTicket, a_fault_in_the_patients_name_does_not_print_the_name) {
  ScanTicket ticket = good_ticket();
  ticket.patient.name = "Secret\x02Person";
  const Result<void> result = validate(ticket);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message.find("Secret"), std::string::npos);
}

TEST(ScanStage, names_go_there_and_back_and_know_their_kind) {
  for (int s = 0; s <= static_cast<int>(ScanStage::kFaceRetracted); ++s) {
    const auto stage = static_cast<ScanStage>(s);
    EXPECT_EQ(scan_stage_from(to_string(stage)), stage);
    EXPECT_EQ(kind_of(stage) == TicketKind::kFace, to_string(stage).starts_with("face-"));
  }
  for (const TicketKind kind : {TicketKind::kIntraoral, TicketKind::kFace})
    EXPECT_EQ(ticket_kind_from(to_string(kind)), kind);
}

TEST(Uuid, is_random_and_recognised) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = new_uuid();
    EXPECT_TRUE(is_uuid(id)) << id;
    EXPECT_EQ(id[14], '4');
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_FALSE(is_uuid(""));
  EXPECT_FALSE(is_uuid("123e4567-e89b-12d3-a456-42661417400G"));
  EXPECT_FALSE(is_uuid("123e4567-e89b-12d3-a456-4266141740000"));
}

TEST(Text, knows_utf8) {
  EXPECT_TRUE(is_utf8("plain, ä, 漢, 🦷"));
  for (const std::string_view bad :
       {"\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"})
    EXPECT_FALSE(is_utf8(bad));
}

}  // namespace
}  // namespace cusp
